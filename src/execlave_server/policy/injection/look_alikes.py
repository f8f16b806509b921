# ruff: noqa: RUF001  letters that look alike are what this is about
"""Characters that look like Latin letters and are not, nor become so by Unicode's own normalisation."""

_PAIRS = (
    # Cyrillic
    "аa вb сc ԁd еe ѐe ёe ғf һh іi їi јj кk қk ӏl мm нh оo рp ԛq гr ѕs тt уy ѵv ԝw хx ү"
    "y ҽe ѡw "
    # Greek
    "αa βb ϲc εe ηn ιi κk μu νv οo ρp σo τt υu χx ω"
    "w ϳj "
    # Armenian and Cherokee
    "աw ցg հh ոn օo ս"
    "u զq յj Ꭺa Ᏼb Ꮯc Ꭰd Ꭼe Ꮐg Ꮋh Ꭵi Ꭻj Ꮶk Ꮮl Ꮇm Ꮲp Ꮢr Ꮪs Ꭲt Ꮩv Ꮃw Ꮓz "
    # Latin itself: strokes, hooks, small capitals
    "ıi ɩi łl ɫl øo đd ħh ŧt ɑa ɡg ɢg ɪi ʟl ɴn ʀr ʏy ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ʜh ᴊj ᴋk ᴌl ᴍm ᴏo ᴘp ꜱs ᴛt ᴜu ᴠv ᴡw ᴢz ƅb ƙk "
    "ƿp ɗd ɛe ɨi ȷj ʋu ⱡl ʞk ǝe ɐa ɔc ʇt ʍw ʎy ɹr ɯm "
    # Punctuation that quotes or joins
    '‘\' ’\' ‚\' ‛\' “" ”" „" ‟" «" »" ‹\' ›\' 「" 」" ‐- ‑- ‒- –- —- −- ∣| ⁄/ ∕/ 。. ！! ？? '
)
LOOK_ALIKES = {pair[0]: pair[1] for pair in _PAIRS.split()}
for _first in (0x1F150, 0x1F170, 0x1F1E6):  # white letters on black rounds and squares; regional indicators
    LOOK_ALIKES |= {chr(_first + place): chr(ord("a") + place) for place in range(26)}
