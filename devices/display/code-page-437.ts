/**
 * Code page 437 as the character generator draws it: the control codes have pictures, NUL and NBSP are blank.
 *
 *   glyph(byte)   the Unicode character that looks like it; always one UTF-16 unit
 *
 * [CP437] IBM "Code page 437"; the Unicode mapping is Unicode's CP437.TXT with the pictures of IBMGRAPH.TXT.
 */
const PICTURES = ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼'
const ASCII = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('') + '⌂'
const UPPER =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ' +
  'áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐' +
  '└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀' +
  'αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'

export const CODE_PAGE_437: string = PICTURES + ASCII + UPPER
export const glyph = (byte: number): string => CODE_PAGE_437[byte]
