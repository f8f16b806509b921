# ruff: noqa: RUF001  letters of other alphabets are meant
"""Rules in other languages about what an injected text wants done, and whom it wants the model to be."""

from execlave_server.policy.injection.rules import Rule, Severity

_ALL = (
    "(?:tod[oa]s?(?: l[oa]s)?|tous(?: les)?|toutes(?: les)?|alle|allen|sämtliche|todas as|todos os|tutti(?: i| gli)?"
    "|tutte(?: le)?|wszystkie|tüm|bütün|все|всі|semua|tất cả|alla)"
)
_RECORDS = (
    "(?:registros?|datos|archivos|ficheros|usuarios|enregistrements?|données|fichiers|utilisateurs|datensätze|daten"
    "|dateien|einträge|benutzer|dados|arquivos|usuários|record|dati|file|utenti|gegevens|bestanden|rekordy|dane|pliki"
    "|kayıtları|verileri|dosyaları|записи|данные|файлы|пользователей|data|catatan|dữ liệu|bản ghi|poster|filer)"
)
_CALLS = (
    "(?:llamadas|solicitudes|herramientas|appels|outils|demandes|requêtes|werkzeugaufrufe|anfragen|aufrufe|chamadas"
    "|ferramentas|solicitações|chiamate|strumenti|richieste|aanroepen|verzoeken|wywołania|żądania|çağrıları|istekleri"
    "|вызовы|запросы|panggilan|permintaan)"
)
_DELETE = (
    "(?:borra[r]?|elimina[r]?|suprima|supprime[rz]?|efface[rz]?|lösche[n]?|entferne[n]?|apague|apagar|exclua|cancella"
    "|cancellare|eliminate|verwijder|wis|usuń|skasuj|sil|удали(?:те)?|сотри|видали|hapus|xóa|radera|slett)"
)
_APPROVE = (
    "(?:aprueba|apruebe|autoriza|approuve[rz]?|autorise[rz]?|genehmige[n]?|bestätige[n]?|aprove|autorize|approva"
    "|approvate|autorizza|keur|zatwierdź|onayla|одобри(?:те)?|подтверди(?:те)?|setujui|phê duyệt|godkänn)"
)
_SEND = (
    "(?:envía|enviar|envíe|manda|mandar|exporta|sube|envie|mande|exporte[rz]?|envoie|envoyez|envoyer|transmet[a-z]*"
    "|sende[n]?|schicke?n?|übermittle|übertrage|invia|inviare|inviate|stuur|verstuur|wyślij|prześlij|skicka|gönder"
    "|kirim(?:kan)?|gửi|отправь(?:те)?|отправить|перешли(?:те)?|надішли|أرسل)"
)
_OUTSIDE = (
    "(?:servidor(?:es)? extern[oa]s?|serveurs? externes?|(?:externen?|fremden) server|server estern[oi]|externe server"
    "|zewnętrzn[a-z]+ serwer[a-z]*|harici (?:bir )?sunucu[a-z]*|внешний сервер|зовнішній сервер|server eksternal"
    "|máy chủ bên ngoài|extern server|خادم خارجي|attacker|evil|hacker|atacante|attaquant|angreifer)"
)
_WITHOUT = "(?:sin|sans|ohne|sem|senza|zonder|bez|без|utan|uden|tanpa)"
_LIMITS = (
    "(?:restricci(?:ones|ón)|restrictions?|límites|limites|limitaciones|filtros|filtres|einschränkungen|beschränkungen"
    "|regeln|restrições|limitações|restrizioni|limitazioni|filtri|beperkingen|ograniczeń|ограничений|правил|batasan)"
)

ABROAD_ACT_RULES = (
    Rule(
        "tool_abuse_abroad",
        Severity.HIGH,
        "The same as tool_abuse in another language.",
        (
            rf"{_DELETE} {_ALL} <2>{_RECORDS}",
            rf"{_APPROVE} {_ALL} <2>{_CALLS}",
            (
                r"(?:approuve[rz]?|aprueba|aprove|approva|genehmige) (?:le|la|el|o|il|den|die) "
                r"(?:prochain|próxim[oa]|prossim[oa]|nächsten?) (?:appel|llamada|chamada|chiamata|aufruf)"
            ),
            r"(?:删除|刪除|清空|销毁)(?:所有|全部)[^。.\n]{0,8}(?:记录|記錄|数据|資料|文件|用户|表)",
            r"(?:批准|同意|通过)(?:所有|全部)[^。.\n]{0,10}(?:调用|請求|请求|操作|交易)",
            r"(?:すべて|全て|全部)の?[^。.\n]{0,8}(?:レコード|記録|データ|ファイル)を?[^。.\n]{0,4}(?:削除|消去)",
            r"모든 [^.\n]{0,8}(?:기록|데이터|파일|레코드)[^.\n]{0,4}(?:삭제|지워)",
            r"(?:pomiń|omiń|обойди(?:те)?|пропусти(?:те)?) <2>(?:zatwierdzeni|zgod|одобрени|подтверждени)",
        ),
        compact=False,
    ),
    Rule(
        "exfiltration_outside_abroad",
        Severity.CRITICAL,
        "Sends something, in another language, to a server outside or to a named attacker.",
        (
            rf"{_SEND} <8>{_OUTSIDE}",
            r"harici (?:bir )?sunucu[a-z]* <3>gönder",
            r"(?:发送|發送|上传|上傳|导出|传输)[^。.\n]{0,16}(?:外部服务器|外部伺服器|攻击者)",
            r"(?:外部サーバー|外部サーバ|攻撃者)[^。.\n]{0,6}(?:送信|送って|転送|アップロード)",
            r"외부 ?서버[^.\n]{0,6}(?:보내|전송|업로드)",
            r"बाहरी सर्वर[^.\n]{0,8}(?:भेज|अपलोड)",
            r"(?:机密|機密|秘密|密码|密钥|凭据)[^。.\n]{0,6}(?:发送|泄露|导出)",
        ),
        compact=False,
    ),
    Rule(
        "role_change_abroad",
        Severity.HIGH,
        "The same as role_change in another language.",
        (
            (
                rf"(?:asistente|assistant|assistent|assistente|modelo|modèle|modell|modello|ia|ki|asystent|ассистент"
                rf"|помощник|asisten) <2>{_WITHOUT} <2>{_LIMITS}"
            ),
            (
                rf"(?:actúa|responde|finge|agis|agissez|réponds|répondez|verhalte dich|antworte|aja|responda|finja"
                rf"|agisci|rispondi|fingi|отвечай|действуй) <5>{_WITHOUT} <2>{_LIMITS}"
            ),
            r"(?:没有|沒有|不受)(?:任何)?(?:限制|约束|約束)的?(?:助手|模型|ai)|制限のない(?:アシスタント|ai|モデル)",
        ),
        compact=False,
    ),
    Rule(
        "concealment_abroad",
        Severity.HIGH,
        "The same as concealment in another language.",
        (
            r"no (?:se )?(?:lo )?(?:digas|menciones|informes|avises) <2>(?:al usuario|a nadie|al operador|al cliente)",
            (
                "ne (?:le )?(?:dis|dites|mentionne|mentionnez|préviens|prévenez) (?:pas|rien"
                "|jamais) <2>(?:à l utilisateur|utilisateur|à personne)"
            ),
            (
                "(?:sag|sage|sagen sie|verrate|erzähle) (?:es |das |dies )?(?:dem|den) (?:nutzer|benutzer|anwender"
                "|kunden) (?:nicht|nichts)"
            ),
            r"não (?:conte|diga|avise|informe) <2>(?:ao usuário|a ninguém|ao utilizador)",
            r"non (?:dirlo|dire|avvisare|informare|menzionare) <3>(?:all utente|utente|a nessuno)",
            r"не (?:говори(?:те)?|сообщай(?:те)?) <2>(?:пользовател|никому)",
            r"不要(?:告诉|告訴|通知)(?:用户|用戶|任何人)|(?:ユーザー|誰)に(?:は|も)?(?:言わない|伝えない|知らせない)",
        ),
        compact=False,
    ),
)
