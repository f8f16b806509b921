# ruff: noqa: RUF001  letters of other alphabets are meant
"""Rules in other languages, written with their accents; these are folded as the text's are."""

from execlave_server.policy.injection.rules import Rule, Severity

# One line a language: the verbs for "ignore", the words for "instructions".
_OVERRIDES = (
    # Spanish, Portuguese, Italian
    (
        (
            "(?:ignor(?:a|e|ar|ad|en)|olvid(?:a|e|ar|ate|en|aos)|descart(?:a|e|ar)|desestima|omit(?:e|ir)"
            "|haz caso omiso|pas(?:a|ar) por alto|no sigas|no obedezcas|salt(?:a|arse|ate)|evad(?:e|ir)|elude)"
        ),
        (
            "(?:instrucci(?:ones|ón)|reglas?|indicaciones|directrices|órdenes|normas|polític(?:a|as)|restricciones"
            "|aprobaci(?:ones|ón)|límites|salvaguardas)"
        ),
    ),
    (
        (
            "(?:ignor(?:e|a|ar|em)|esqueç(?:a|am)|esquecer|desconsider(?:e|a|ar)|descart(?:e|ar)|contorn(?:e|ar)"
            "|burl(?:e|ar)|pul(?:e|ar)|não sig(?:a|as)|desobedeça)"
        ),
        (
            "(?:instruç(?:ões|ão)|regras?|diretrizes|ordens|polític(?:a|as)|restrições|orientações|aprovaç(?:ão|ões)"
            "|comandos|limites)"
        ),
    ),
    (
        (
            "(?:ignor(?:a|are|ate|i|ino)|dimentic(?:a|are|ate|hi)|trascur(?:a|are|ate)|scart(?:a|are)|aggir(?:a|are)"
            "|elud(?:i|ere)|non seguire|salt(?:a|are)|disobbedisci)"
        ),
        (
            "(?:istruzion(?:i|e)|regol(?:e|a)|direttiv(?:e|a)|ordini|politic(?:a|he)|restrizioni|indicazioni"
            "|linee guida|approvazion(?:e|i)|comandi|vincoli)"
        ),
    ),
    # German, Dutch, Scandinavian
    (
        (
            "(?:ignorier(?:e|en|t|st)|vergiss|vergessen sie|vergesst|missachten?|missachtet|umgehe?n?|umgeht|(?:ü"
            "|ue)bergehen?|überspringen?|verwirf|verwerfen|befolge nicht|beachte nicht)"
        ),
        (
            "(?:anweisung(?:en)?|instruktionen|regeln?|richtlinien?|vorgaben|befehle?|beschränkungen|einschränkungen"
            "|sicherheitsregeln|genehmigung(?:en)?|freigaben?|systemanweisungen|systemprompt|anleitungen)"
        ),
    ),
    (
        ("(?:negeer|negeren|vergeet|omzeil|omzeilen|sla over|veronachtzaam)"),
        ("(?:instructies?|regels?|richtlijnen|opdrachten|beleid|aanwijzingen|beperkingen|goedkeuring(?:en)?)"),
    ),
    (
        ("(?:ignorera|ignorer|ignorér|glöm|glem|bortse från|se bort fra|strunta i|kringgå|omgå)"),
        (
            "(?:instruktion(?:er|erna)?|instruksjon(?:er|ene)?|instruktionerne|regler(?:na|ne)?|anvisningar(?:na)?"
            "|riktlinjer(?:na)?|retningslinjer(?:ne)?|policyn?)"
        ),
    ),
    ("(?:unohda|ohita|jätä huomiotta)", "(?:ohjeet|säännöt|määräykset|käskyt)"),
    # Slavic, Romanian, Hungarian
    (
        ("(?:z?ignoruj(?:cie)?|zapomnij(?:cie)?|pomiń|obejdź|nie przestrzegaj)"),
        ("(?:instrukcj[a-z]+|polece[a-z]+|zasad[a-z]*|reguł[a-z]*|wytyczn[a-z]+|polityk[a-z]*)"),
    ),
    (
        ("(?:ignoruj(?:te)?|zapome(?:ň|n)(?:te)?|nedodržuj|obejdi)"),
        ("(?:pokyn[a-z]*|instrukc[a-z]+|pravid[a-z]+|příkaz[a-z]*|zásad[a-z]*)"),
    ),
    (
        (
            "(?:игнорируй(?:те)?|проигнорируй(?:те)?|игнорировать|забудь(?:те)?|забыть|не обращай(?:те)? внимания на"
            "|отмени(?:те)?|обойди(?:те)?|обойти|не следуй(?:те)?|пренебреги)"
        ),
        ("(?:инструкци|указани|правил|команд|предписани|политик|ограничени|распоряжени|одобрени)"),
    ),
    (
        ("(?:ігноруй(?:те)?|проігноруй(?:те)?|забудь(?:те)?|ігнорувати|обійди)"),
        ("(?:інструкці|вказівк|правил|команд|політик|обмежен)"),
    ),
    (
        ("(?:ignor(?:ă|ați|a|i)|uită|uitați|nu respecta)"),
        ("(?:instrucțiunil?e?|instrucțiuni|regulil?e?|directivel?e?|ordinel?e?|politicil?e?)"),
    ),
    # Indonesian, Vietnamese, Swahili, Filipino
    ("(?:abaikan|lupakan|hiraukan|lewati)", "(?:instruksi|perintah|aturan|arahan|petunjuk|kebijakan|peraturan)"),
    ("(?:bỏ qua|phớt lờ|quên|lờ đi|vượt qua)", "(?:hướng dẫn|chỉ dẫn|chỉ thị|lệnh|quy tắc|chính sách|câu lệnh)"),
    ("(?:puuza|sahau)", "(?:maagizo|maelekezo|sheria|kanuni)"),
    ("(?:huwag pansinin|balewalain|kalimutan)", "(?:tagubilin|instruksyon|panuntunan|utos)"),
    # Greek, Arabic, Hebrew, Persian
    ("(?:αγνόησε|αγνοήστε|ξέχασε|ξεχάστε|παράβλεψε)", "(?:οδηγίες|εντολές|κανόνες|πολιτική)"),
    (
        ("(?:تجاهل(?:وا)?|تجاهلي|انس|انسى|تجاوز|أهمل)"),
        ("(?:التعليمات|تعليمات|الأوامر|أوامر|القواعد|قواعد|السياسة|سياسة|الإرشادات)"),
    ),
    ("(?:התעלם|התעלמי|התעלמו|שכח|שכחי)", "(?:ההוראות|הוראות|הכללים|כללים|ההנחיות|המדיניות)"),
)
# French shares words with English, and is known by its articles.
_FRENCH = (
    "(?:ignor(?:e|ez|er|ons)|oubli(?:ez|er|e (?:tes|vos|toutes?))|néglig(?:e|ez|er)|contourn(?:e|ez|er)|ne (?:tiens"
    "|tenez) (?:pas"
    "|aucun) compte|pass(?:e|ez|er) outre|fai(?:s|tes) abstraction|désobéi(?:s|ssez)|ne (?:suis|suivez) (?:pas|plus)"
    "|saut(?:e|ez|er)|outrepass(?:e|ez|er))"
    " <1>(?:les?|la|l|mes|tes|ses|nos|vos|leurs|toutes?|tous|ces?|cette|aux|des|votre|ton) <2>"
    "(?:instructions?|consignes?|règles?|directives?|ordres|politiques?|restrictions|approbations?|garde fous"
    "|invite système)"
)
# Where the verb stands last, or where words are not set apart.
_OVERRIDES_TURNED = (
    (
        "(?:anweisung(?:en)?|instruktionen|regeln|richtlinien?|vorgaben|befehle"
        r"|genehmigung) <4>(?:zu )?(?:ignorieren|missachten|umgehen|übergehen|verwerfen)\b"
    ),
    (
        "(?:talimat|kural|yönerge|komut|politika)[a-z]* <4>(?:yok say|unut|görmezden gel|dikkate alma|göz ardı et"
        "|atla|çiğne)"
    ),
    r"(?:instructies|regels|richtlijnen|beleid) <3>(?:negeren|vergeten|omzeilen)\b",
    (
        "(?:utasítás|szabály|parancs|irányelv)[a-z]* <3>(?:hagyd|felejtsd|ignoráld)|(?:hagyd figyelmen kívül"
        "|felejtsd el|ignoráld) <4>(?:utasítás|szabály|parancs|irányelv)"
    ),
    (
        r"(?:忽略|无视|無視|忘记|忘記|不要理会|不理会|绕过|繞過|忽視|忽视|不要遵守|不再遵守|跳过)[^。!?.\n]{0,16}(?:指令|指示|说明|說明|规则|規則|提示|命令|约束|限制|设定|設定"
        "|政策|策略|审批|批准)"
    ),
    (
        r"(?:指示|命令|ルール|規則|プロンプト|制限|設定|ポリシー|方針|承認|指針)"
        r"[^。.\n]{0,12}(?:無視|忘れ|従わ|破棄|回避|迂回|飛ばし)"
    ),
    r"(?:지시|명령|규칙|지침|프롬프트|정책|제한|승인)[^.\n]{0,12}(?:무시|잊|따르지|우회)",
    r"(?:निर्देश|नियम|आदेश|नीति)[^.\n]{0,24}(?:अनदेखा|अनदेखी|भूल|नज़रअंदाज़|उपेक्षा)",
    r"(?:अनदेखा|भूल|नज़रअंदाज़|उपेक्षा)[^.\n]{0,24}(?:निर्देश|नियम|आदेश|नीति)",
    r"(?:নির্দেশ|নিয়ম)[^.\n]{0,24}(?:উপেক্ষা|ভুলে)",
    r"(?:ละเว้น|เพิกเฉย|ลืม|ไม่ต้องสนใจ|ข้าม)[^.\n]{0,24}(?:คำสั่ง|กฎ|คำแนะนำ|นโยบาย)",
    r"(?:دستور|قوانین|دستورالعمل)[^.\n]{0,30}(?:نادیده|فراموش)",
)

_SHOW = (
    "(?:muestra|muestre|mostrar|revela(?:r)?|revele|imprime|imprima|enseña|dime|copia|exib(?:a|ir)|mostre|affich(?:e"
    "|ez|er)|révél(?:e|ez|er)|montr(?:e|ez|er)|donn(?:e|ez|er)|copi(?:e|ez|er)"
    "|dévoil(?:e|ez|er)|zeige?n?|zeigt|offenbaren?|verraten?|gib|geben|drucken?|nennen?|enthüllen?|gebe|mostra"
    "|mostrare|mostri|rivel(?:a|are|i)|stamp(?:a|are)|visualizz(?:a|are)|toon|onthul|laat zien|pokaż|ujawnij"
    "|wyświetl|göster|açıkla|visa|avslöja|vis|afslør|tampilkan|ungkapkan|tunjukkan|hiển thị|tiết lộ|ukaž|zobraz|odhal"
    "|arată|afișează|dezvăluie|покажи(?:те)?|показать|раскрой(?:те)?|раскрыть|выведи(?:те)?|покажіть|розкрий"
    "|отображай"
    "|reveal|show|print|display)"
)
_PROMPT = (
    "(?:system ?prompt[a-z]*|systemaufforderung|systemnachricht|system ?anweisung(?:en)?|prompt (?:del |de |do |di "
    "|du )?(?:sistema"
    "|système|systeme)|(?:invite|message|consigne|instructions?) (?:de |du )?système"
    "|(?:instrucciones|reglas|mensaje|indicaciones) (?:del sistema|ocult[oa]s?|secret[oa]s?|privad[oa]s?"
    "|intern[oa]s?)|(?:instruções|regras|mensagem) (?:do sistema|ocult[oa]s?|secret[oa]s?|privad[oa]s?|intern[oa]s?)"
    "|(?:istruzioni|regole|messaggio) (?:di sistema|del sistema|nascost[eoi]|segret[eoi]|privat[eoi]|intern[eoi])"
    "|(?:instructions|règles|consignes) (?:cachées|secrètes|privées|internes)"
    "|(?:geheimen?|versteckten?|internen?|verborgenen?|privaten?) (?:anweisungen|regeln|instruktionen|vorgaben)"
    "|systeemprompt|(?:verborgen|geheime|interne) (?:instructies|regels)"
    "|prompt systemowy|systemow[a-z]+ (?:prompt|instrukcj)[a-z]*|sistem (?:istemi|prompt|komut|talimat)[a-z]*"
    "|prompt sistem|instruksi sistem|systemprompten|systeminstruktion[a-z]*|lời nhắc hệ thống"
    "|systémov[a-z]+ (?:prompt|pokyn)[a-z]*"
    "|системн[а-я]+ (?:промпт|инструкци|подсказк|запрос|сообщени)|скрыт[а-я]+ (?:инструкци|правил|промпт)"
    "|системн[а-яі]+ (?:інструкці|підказк))"
)
_SECRETS = (
    "(?:contraseñas?|credenciales|claves? (?:api|secretas?|privadas?)|secretos|senhas?|credenciais"
    "|chaves? (?:de )?(?:api|secretas?|privadas?)|segredos|mots? de passe|identifiants|clés? (?:api|secrètes?"
    "|privées?)|secrets"
    "|passwörter|passwort|zugangsdaten|anmeldedaten|geheimnisse|api schlüssel|kennwörter|credenziali|segreti"
    "|chiavi (?:api|segrete|private)|wachtwoorden|inloggegevens|geheimen|hasła|dane logowania|lösenord|şifreler[a-z]*"
    "|parolalar[a-z]*"
    "|kata sandi|kredensial|mật khẩu|парол[а-я]+|учетные данные|секрет[а-я]*|ключи|токены|паролі)"
)
_SEND = (
    "(?:envía|enviar|envíe|manda|mandar|exporta|exportar|filtra|filtrar|envie|mande|vaze|envoie|envoyez|envoyer"
    "|transmets|transmettez|exporte[zr]?|exfiltr[a-z]+|sende|senden|schicke|schicken|schick|übermitt[a-z]+"
    "|exportieren?"
    "|invia|inviare|inviate|mandare|stuur|verstuur|wyślij|prześlij|skicka|gönder|kirim|kirimkan|gửi|отправь(?:те)?"
    "|отправить|перешли(?:те)?|вышли|надішли)"
)
_AGENT = (
    "(?:el asistente|o assistente|l ?assistente|l assistant|l ia|der assistent|die ki|der agent|de assistent|l agente"
    "|el agente|o agente|l agent|asystent|asistan|assistenten|asisten|trợ lý|ассистент|помощник|агент)"
)
_OTHER_DATA = (
    (
        "(?:factur[a-z]+|datos|registros|archivos|información|pedidos|documentos|dados|faturas|arquivos"
        "|informações) (?:de |do |da |del )?(?:otr[oa]s?|outr[oa]s?|un otro) (?:inquilin[oa]s?|clientes?"
        "|usuari[oa]s?|empresas?|organiza[a-z]+|locatári[oa]s?|cuentas?|contas?|tenants?)"
    ),
    (
        "(?:factures?|données|dossiers|fichiers|enregistrements|documents|commandes|informations) (?:d un autre"
        "|d une autre|d autres|des autres|de l autre) (?:locataires?|clients?|clientes?|utilisateurs?|organisations?"
        "|entreprises?|comptes?|tenants?)"
    ),
    (
        "(?:rechnungen|daten|datensätzen?|dateien|unterlagen|dokumente|bestellungen|informationen) (?:eines|einer"
        "|von|der|des) (?:anderen|anderer|fremden) (?:mandanten|kunden|mieters?|nutzers?|benutzers?|tenants?"
        "|organisation(?:en)?|firm(?:a|en))"
    ),
    (
        "(?:fatture|dati|record|documenti|file|ordini|informazioni) (?:di|degli|dei) (?:un altro|un altra|altri"
        "|altre) (?:inquilin[oi]|client[ei]|utent[ei]|tenant|aziend[ae]|organizzazion[ei]|affittuario)"
    ),
    (
        "(?:facturen|gegevens|bestanden|records|documenten) van (?:een )?(?:andere|ander) (?:huurders?|klanten|klant"
        "|gebruikers?|tenants?|organisaties?)"
    ),
    (
        "(?:faktur[a-z]*|dan[a-z]+|rekord[a-z]*|plik[a-z]*) inn(?:ego|ych|ej) (?:najemc[a-z]+|klient[a-z]+"
        "|użytkownik[a-z]+|dzierżawc[a-z]+|firm[a-z]*)"
    ),
    r"(?:faktura|data|catatan|dokumen) (?:milik )?(?:penyewa|pelanggan|pengguna) lain",
    r"başka (?:bir )?(?:kiracı|müşteri|kullanıcı)[a-z]* <2>(?:fatura|veri|kayıt|dosya)",
    (
        "(?:счета|данные|записи|файлы|документы|счетам|данным) друг(?:ого|их|ому|им) (?:арендатор|клиент|пользовател"
        "|организаци|компани)"
    ),
    (
        r"(?:其他|另一个|另一個|别的|別的|他人)(?:租户|租戶|客户|客戶|用户|用戶|公司)"
        r"[^。.\n]{0,8}(?:数据|資料|资料|发票|發票|记录|記錄|文件|信息)"
    ),
    r"(?:他の|別の)(?:テナント|顧客|ユーザー|会社|組織)[^。.\n]{0,8}(?:データ|請求書|記録|情報|ファイル)",
    r"다른 (?:테넌트|고객|사용자|회사)[^.\n]{0,8}(?:데이터|청구서|송장|기록|정보|파일)",
    r"दूसरे (?:ग्राहक|उपयोगकर्ता|किरायेदार)[^.\n]{0,8}(?:डेटा|चालान|रिकॉर्ड)",
    r"(?:فواتير|بيانات|سجلات|ملفات) (?:مستأجر|عميل|مستخدم|عملاء|مستأجرين) (?:آخر|آخرين)",
)

ABROAD_RULES = (
    Rule(
        "instruction_override_abroad",
        Severity.CRITICAL,
        "The same as instruction_override in another language.",
        (*(rf"{verbs} <5>{nouns}" for verbs, nouns in _OVERRIDES), _FRENCH, *_OVERRIDES_TURNED),
        compact=False,
    ),
    Rule(
        "prompt_extraction_abroad",
        Severity.HIGH,
        "The same as prompt_extraction in another language.",
        (
            rf"\b{_SHOW} <5>{_PROMPT}",
            rf"{_PROMPT} <3>(?:anzeigen|ausgeben|zeigen|offenlegen|preisgeben|verraten|tonen|göster|açıkla|yazdır)",
            (
                r"(?:显示|顯示|透露|泄露|洩露|输出|輸出|告诉我|告訴我|打印|展示|公开|揭示|复制)[^。.\n]{0,12}(?:系统提示|系統提示|提示词|提示詞|系统指令|系統指令|系统消息"
                "|隐藏指令|内部规则|私有规则)"
            ),
            (
                r"(?:システムプロンプト|システム指示|隠された指示|内部ルール|内部指示)"
                r"[^。.\n]{0,12}(?:表示|教え|見せ|出力|開示|明か|公開|コピー)"
            ),
            r"(?:시스템 ?프롬프트|시스템 ?지시|숨겨진 ?지시|내부 ?규칙)[^.\n]{0,12}(?:보여|알려|출력|공개|표시|복사)",
            (
                r"(?:اكشف|أظهر|اعرض|اطبع|أخبرني)[^.\n]{0,24}(?:موجه النظام|تعليمات النظام|رسالة النظام"
                "|التعليمات المخفية|مطالبة النظام)"
            ),
            r"(?:सिस्टम प्रॉम्प्ट|सिस्टम निर्देश|छिपे हुए निर्देश)[^.\n]{0,24}(?:दिखा|बता|प्रकट)",
        ),
        compact=False,
    ),
    Rule(
        "exfiltration_abroad",
        Severity.HIGH,
        "Asks, in another language, to send or show credentials, or to get past an approval.",
        (
            rf"\b(?:{_SEND}|{_SHOW}) <4>{_SECRETS}\b",
            rf"\b{_SECRETS} <5>(?:senden|schicken|übermitteln|exportieren|verschicken|preisgeben|gönder|sturen)\b",
            (
                rf"\b{_AGENT} (?:debe|debería|tiene que|deve|doit|devrait|muss|soll|moet|musi|måste|skall?|harus|phải"
                "|должен) <3>(?:ignor|envi|envoy|send|invia|reve|révé|wys|stur|kirim|отправ|игнор|gửi|bỏ)"
            ),
            (
                r"(?:发送|發送|泄露|洩露|导出|匯出|透露|显示)"
                r"[^。.\n]{0,12}(?:密码|密碼|密钥|密鑰|凭据|憑證|令牌|机密|api ?key)"
            ),
            (
                r"(?:パスワード|認証情報|秘密鍵|api ?キー|機密情報)"
                r"[^。.\n]{0,12}(?:送信|送って|漏ら|エクスポート|表示して)"
            ),
            r"(?:비밀번호|자격 ?증명|api ?키|비밀 ?키)[^.\n]{0,12}(?:보내|전송|유출|공개)",
            (
                r"(?:助手|助理|智能体|アシスタント|エージェント|어시스턴트)[^。.\n]{0,4}(?:必须|应该|應該|必須|は|는)"
                r"[^。.\n]{0,14}(?:忽略|发送|泄露|無視|送信|무시|전송)"
            ),
            (
                r"\b(?:sin|sans|ohne|sem|senza|zonder|bez|utan) (?:ninguna |aucune |jede |nenhuma |alcuna |la |l "
                "|die )?(?:aprobación|approbation|autorisation|autorización|genehmigung|freigabe|aprovação"
                "|autorização|approvazione|autorizzazione|goedkeuring|zatwierdzenia|zgody|godkännande) "
                "<8>(?:ejecut|execut|exécut|ausführ|esegu|voer|wykon|elimin|supprim|lösch|delete|transf|borr|apag"
                "|cancell|herramient|outil|werkzeug|ferrament|strument|tool)"
            ),
            (
                "(?:ejecuta|execute|exécute[zr]?|führe|esegui|voer|wykonaj|elimina|supprime[zr]?|lösche|transfiere"
                "|transfira|trasferisci|llama|appelle[zr]?|rufe?|chiama) <6>(?:sin|sans|ohne|sem|senza|zonder"
                r"|bez) (?:\S+ )?(?:aprobación|approbation|autorisation|autorización|genehmigung|freigabe|aprovação"
                "|autorização|approvazione|autorizzazione|goedkeuring|zatwierdzenia|zgody)"
            ),
            (
                r"(?:未经|未經|无需|無需|跳过)(?:批准|审批|授权|許可|确认)[^。.\n]{0,16}(?:执行|執行|运行|调用|删除|转账)|承認(?:なし|を得ず"
                r"|せず)[^。.\n]{0,16}(?:実行|削除|呼び出|送金)"
            ),
        ),
        compact=False,
    ),
    Rule(
        "data_boundary_abroad",
        Severity.HIGH,
        "Asks, in another language, for another tenant's or customer's data.",
        _OTHER_DATA,
        compact=False,
    ),
    Rule(
        "memory_poisoning_abroad",
        Severity.HIGH,
        "Plants, in another language, a lasting belief about who may do what.",
        (
            (
                "(?:recuerda|recuerde|guarda|lembre(?: se)?|memoriza|memorize|souviens toi|souvenez vous|retiens"
                "|mémorise[zr]?|merke? dir|merken sie sich|ricorda|memorizza|onthoud|zapamiętaj|ingat|запомни(?:те)?"
                "|hatırla) "
                "<3>(?:permanentemente|para siempre|siempre|para sempre|sempre|définitivement|en permanence"
                "|pour toujours|toujours|dauerhaft|für immer|per sempre|permanent|voor altijd|na zawsze|selamanya"
                "|навсегда|sonsuza) <8>(?:ad?m+ini[a-z]*|beheerder|админ|yönetici|root|aprob|aprov|approuv|genehmig"
                "|approva)"
            ),
            r"(?:永久|永远|永遠)(?:记住|記住)|永久に(?:記憶|覚え)|영구적으로 ?기억",
        ),
        compact=False,
    ),
)
