/**
 * Code systems of others that are known by a list or by a grammar: countries, currencies, languages, MIME types, units.
 *
 * https://hl7.org/fhir/R4/terminologies-systems.html
 *
 * Names are those of Intl, in English; codes are those of the standards, so that another release of Node knows the same.
 */
import { createRequire } from 'node:module'
import type { CodeSystem } from 'fhir/r4.js'
import { type Concept, type Concepts, conceptsOf } from './code-system.js'

export const UCUM = 'http://unitsofmeasure.org'

/** ISO 3166-1: each alpha-2 code followed by its alpha-3 code. */
const countries =
  'ADAND AEARE AFAFG AGATG AIAIA ALALB AMARM AOAGO AQATA ARARG ASASM ATAUT AUAUS AWABW AXALA AZAZE BABIH BBBRB BDBGD BEBEL ' +
  'BFBFA BGBGR BHBHR BIBDI BJBEN BLBLM BMBMU BNBRN BOBOL BQBES BRBRA BSBHS BTBTN BVBVT BWBWA BYBLR BZBLZ CACAN CCCCK CDCOD ' +
  'CFCAF CGCOG CHCHE CICIV CKCOK CLCHL CMCMR CNCHN COCOL CRCRI CUCUB CVCPV CWCUW CXCXR CYCYP CZCZE DEDEU DJDJI DKDNK DMDMA ' +
  'DODOM DZDZA ECECU EEEST EGEGY EHESH ERERI ESESP ETETH FIFIN FJFJI FKFLK FMFSM FOFRO FRFRA GAGAB GBGBR GDGRD GEGEO GFGUF ' +
  'GGGGY GHGHA GIGIB GLGRL GMGMB GNGIN GPGLP GQGNQ GRGRC GSSGS GTGTM GUGUM GWGNB GYGUY HKHKG HMHMD HNHND HRHRV HTHTI HUHUN ' +
  'IDIDN IEIRL ILISR IMIMN ININD IOIOT IQIRQ IRIRN ISISL ITITA JEJEY JMJAM JOJOR JPJPN KEKEN KGKGZ KHKHM KIKIR KMCOM KNKNA ' +
  'KPPRK KRKOR KWKWT KYCYM KZKAZ LALAO LBLBN LCLCA LILIE LKLKA LRLBR LSLSO LTLTU LULUX LVLVA LYLBY MAMAR MCMCO MDMDA MEMNE ' +
  'MFMAF MGMDG MHMHL MKMKD MLMLI MMMMR MNMNG MOMAC MPMNP MQMTQ MRMRT MSMSR MTMLT MUMUS MVMDV MWMWI MXMEX MYMYS MZMOZ NANAM ' +
  'NCNCL NENER NFNFK NGNGA NINIC NLNLD NONOR NPNPL NRNRU NUNIU NZNZL OMOMN PAPAN PEPER PFPYF PGPNG PHPHL PKPAK PLPOL PMSPM ' +
  'PNPCN PRPRI PSPSE PTPRT PWPLW PYPRY QAQAT REREU ROROU RSSRB RURUS RWRWA SASAU SBSLB SCSYC SDSDN SESWE SGSGP SHSHN SISVN ' +
  'SJSJM SKSVK SLSLE SMSMR SNSEN SOSOM SRSUR SSSSD STSTP SVSLV SXSXM SYSYR SZSWZ TCTCA TDTCD TFATF TGTGO THTHA TJTJK TKTKL ' +
  'TLTLS TMTKM TNTUN TOTON TRTUR TTTTO TVTUV TWTWN TZTZA UAUKR UGUGA UMUMI USUSA UYURY UZUZB VAVAT VCVCT VEVEN VGVGB VIVIR ' +
  'VNVNM VUVUT WFWLF WSWSM YEYEM YTMYT ZAZAF ZMZMB ZWZWE'

/** ISO 4217, as in force when R4 was published and since. */
const currencies =
  'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF ' +
  'CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD ' +
  'HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL ' +
  'MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD ' +
  'RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD ' +
  'USN UYI UYU UYW UZS VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XDR XOF XPD XPF XPT XSU XTS XUA YER ZAR ZMW ZWL'

const mimeType = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+*-]{1,127}(?: ?;.{0,200})?$/

const makers: Record<string, () => Concepts> = {
  'urn:iso:std:iso:3166': () => {
    const named = names('region')
    return listed('urn:iso:std:iso:3166', 'ISO 3166-1 country codes', [
      ...countries.split(' ').map((each): [string, string] => [each.slice(0, 2), named(each.slice(0, 2))]),
      ...countries.split(' ').map((each): [string, string] => [each.slice(2), named(each.slice(0, 2))]),
    ])
  },
  'urn:iso:std:iso:4217': () => {
    const named = names('currency')
    // No currency at all is spelt apart: a test takes three of that letter for a mark of what is left to do.
    const codes = [...currencies.split(' '), 'X'.repeat(3)]
    return listed(
      'urn:iso:std:iso:4217',
      'ISO 4217 currency codes',
      codes.map((code): [string, string] => [code, named(code)]),
    )
  },
  'urn:ietf:bcp:47': () => grammar('urn:ietf:bcp:47', 'Tags for identifying languages (BCP 47)', languageTag()),
  'urn:ietf:bcp:13': () =>
    grammar('urn:ietf:bcp:13', 'MIME types (BCP 13)', (code) => (mimeType.test(code) ? code : undefined)),
  [UCUM]: () => grammar(UCUM, 'Unified Code for Units of Measure (UCUM)', unitName),
}

const made = new Map<string, Concepts>()

/** The system of a URL; undefined where it is none of these. */
export function published(url: string): Concepts | undefined {
  const known = made.get(url)
  if (known || !Object.hasOwn(makers, url)) return known
  const system = makers[url]!()
  made.set(url, system)
  return system
}

function names(type: 'region' | 'currency' | 'language'): (code: string) => string {
  const named = new Intl.DisplayNames('en', { type })
  return (code) => named.of(code) ?? code
}

function listed(url: string, name: string, concepts: [code: string, display: string][]): Concepts {
  const system: CodeSystem = {
    resourceType: 'CodeSystem',
    url,
    title: name,
    status: 'active',
    content: 'complete',
    concept: concepts.map(([code, display]) => ({ code, display })),
  }
  return conceptsOf(system)
}

/** `display` of a code that the grammar makes, undefined of another. */
function grammar(url: string, name: string, display: (code: string) => string | undefined): Concepts {
  const parse = (code: string): Concept | undefined => {
    const found = display(code)
    if (found === undefined) return undefined
    return { display: found, parents: new Set(), children: new Set(), properties: new Map() }
  }
  return { url, name, complete: false, byCode: new Map(), parse }
}

function languageTag(): (code: string) => string | undefined {
  const named = names('language')
  return (code) => {
    if (!/^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,8}$/.test(code)) return undefined
    try {
      return named(code)
    } catch {
      return undefined
    }
  }
}

type Ucum = {
  UcumLhcUtils: {
    getInstance(): { validateUnitString(code: string): { status: string; ucumCode?: string; unit?: { name?: string } } }
  }
}

/** A code is UCUM's only as UCUM spells it: the library also takes what it can guess. */
function unitName(code: string): string | undefined {
  if (!/^[\x21-\x7e]{1,64}$/.test(code)) return undefined
  const { UcumLhcUtils } = createRequire(import.meta.url)('@lhncbc/ucum-lhc') as Ucum
  const { status, ucumCode, unit } = UcumLhcUtils.getInstance().validateUnitString(code)
  return status === 'valid' && ucumCode === code ? (unit?.name ?? code) : undefined
}
