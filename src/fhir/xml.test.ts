import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  allTypes,
  Decimal,
  FhirError,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  readXml,
  resourceTypes,
  type TypeDefinition,
  typeDefinition,
  writeJson,
  writeXml,
} from './index.js'

const declaration = '<?xml version="1.0" encoding="UTF-8"?>'
const patient = (content: string) => `<Patient xmlns="http://hl7.org/fhir">${content}</Patient>`
const xhtml = 'xmlns="http://www.w3.org/1999/xhtml"'
const json = (text: string) => parseJson(text) as Resource

// https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html
describe('the same content in XML and JSON', () => {
  test.each<[string, string, string]>([
    [
      'primitives stand in value attributes',
      '<id value="1"/><active value="true"/><birthDate value="1970-03-30"/>',
      '"id":"1","active":true,"birthDate":"1970-03-30"',
    ],
    ['integers and booleans have their type', '<multipleBirthInteger value="3"/>', '"multipleBirthInteger":3'],
    ['a list of one is a list', '<name><family value="Oduya"/></name>', '"name":[{"family":"Oduya"}]'],
    [
      'lists keep their order',
      '<name><given value="b"/><given value="a"/></name><name><given value="c"/></name>',
      '"name":[{"given":["b","a"]},{"given":["c"]}]',
    ],
    [
      'the id of an element is an attribute',
      '<name id="n1"><family value="Oduya"/></name>',
      '"name":[{"id":"n1","family":"Oduya"}]',
    ],
    [
      'the url of an extension is an attribute',
      '<extension id="e" url="urn:x"><valueString value="v"/></extension>',
      '"extension":[{"id":"e","url":"urn:x","valueString":"v"}]',
    ],
    [
      'a primitive may have an id and extensions',
      '<birthDate id="b" value="1970-03-30"><extension url="urn:t"><valueDateTime value="1970-03-30T10:00:00Z"/></extension></birthDate>',
      '"birthDate":"1970-03-30","_birthDate":{"id":"b","extension":[{"url":"urn:t","valueDateTime":"1970-03-30T10:00:00Z"}]}',
    ],
    [
      'a primitive may have an extension alone',
      '<gender><extension url="urn:x"><valueCode value="a"/></extension></gender>',
      '"_gender":{"extension":[{"url":"urn:x","valueCode":"a"}]}',
    ],
    [
      'lists of primitives with extensions are filled with nulls',
      '<name><given value="a"/><given><extension url="urn:x"><valueCode value="m"/></extension></given><given id="g" value="c"/><given value="d"/></name>',
      '"name":[{"given":["a",null,"c","d"],"_given":[null,{"extension":[{"url":"urn:x","valueCode":"m"}]},{"id":"g"},null]}]',
    ],
    [
      'a list of extensions alone',
      '<name><given id="a"/><given id="b"/></name>',
      '"name":[{"_given":[{"id":"a"},{"id":"b"}]}]',
    ],
    [
      'extensions of extensions of primitives',
      '<gender value="male"><extension url="urn:a"><extension url="urn:b"><valueBoolean value="false"/></extension></extension></gender>',
      '"gender":"male","_gender":{"extension":[{"url":"urn:a","extension":[{"url":"urn:b","valueBoolean":false}]}]}',
    ],
    [
      'the narrative is kept as it is written',
      `<text><status value="generated"/><div ${xhtml}><p class='a'>1 &lt; 2 &amp; <br/><b title="&quot;">é😀</b><!-- c --></p>\n</div></text>`,
      `"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p class='a'>1 &lt; 2 &amp; <br/><b title=\\"&quot;\\">é😀</b><!-- c --></p>\\n</div>"}`,
    ],
    [
      'contained resources stand in an element each',
      '<contained><Organization><id value="o"/></Organization></contained><contained><Patient><id value="p"/></Patient></contained>',
      '"contained":[{"resourceType":"Organization","id":"o"},{"resourceType":"Patient","id":"p"}]',
    ],
    [
      'characters that XML writes otherwise',
      '<name><text value="&lt;a&gt; &amp; &quot;b&quot; \'c\'&#9;d&#10;e&#13;f é 😀 \u0085\u2028"/></name>',
      '"name":[{"text":"<a> & \\"b\\" \'c\'\\td\\ne\\rf é 😀 \u0085\u2028"}]',
    ],
    ['white space at the edges of text stays', '<name><text value="  a  "/></name>', '"name":[{"text":"  a  "}]'],
  ])('%s', (_, xml, members) => {
    const resource = json(`{"resourceType":"Patient",${members}}`)
    expect(readXml(patient(xml))).toEqual(resource)
    expect(writeJson(readXml(patient(xml)))).toBe(writeJson(resource))
    expect(writeXml(resource)).toBe(declaration + patient(xml))
    expect(readXml(writeXml(resource, { pretty: true }))).toEqual(resource)
  })

  test('decimals keep their digits', () => {
    const observation = (value: string) =>
      `<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="${value}"/></valueQuantity></Observation>`
    for (const value of ['1.00', '1.0e2', '-0', '0.000', '123456789012345678.90', '1E5', '185', '1.5']) {
      expect(writeJson(readXml(observation(value)))).toBe(
        `{"resourceType":"Observation","valueQuantity":{"value":${value}}}`,
      )
      expect(writeXml(readXml(observation(value)))).toBe(declaration + observation(value))
    }
  })

  test('resources in bundles and parameters', () => {
    const xml =
      '<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource><Parameters><parameter><name value="a"/>' +
      '<resource><Patient><active value="true"/></Patient></resource></parameter><parameter><name value="b"/><part><name value="c"/>' +
      '<valueDecimal value="1.0"/></part></parameter></Parameters></resource></entry><entry><resource><Basic/></resource></entry></Bundle>'
    const resource = json(
      '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Parameters","parameter":[{"name":"a",' +
        '"resource":{"resourceType":"Patient","active":true}},{"name":"b","part":[{"name":"c","valueDecimal":1.0}]}]}},' +
        '{"resource":{"resourceType":"Basic"}}]}',
    )
    expect(readXml(xml)).toEqual(resource)
    expect(writeXml(resource)).toBe(declaration + xml)
  })

  test('an empty resource', () => {
    expect(writeXml({ resourceType: 'Basic' })).toBe(`${declaration}<Basic xmlns="http://hl7.org/fhir"/>`)
    expect(readXml('<Basic xmlns="http://hl7.org/fhir"/>')).toEqual({ resourceType: 'Basic' })
  })
})

test('written readably, elements stand on lines of their own and the narrative as it is', () => {
  const resource = json(
    `{"resourceType":"Patient","text":{"status":"empty","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a\\n b</div>"},"contained":[{"resourceType":"Basic","id":"b"}],"name":[{"given":["a"]}]}`,
  )
  expect(writeXml(resource, { pretty: true })).toBe(`${declaration}
<Patient xmlns="http://hl7.org/fhir">
  <text>
    <status value="empty"/>
    <div ${xhtml}>a
 b</div>
  </text>
  <contained>
    <Basic>
      <id value="b"/>
    </Basic>
  </contained>
  <name>
    <given value="a"/>
  </name>
</Patient>
`)
})

test('elements are written in the order of their definition', () => {
  const resource = json(
    '{"birthDate":"2000-01-01","_gender":{"id":"g"},"resourceType":"Patient","name":[{"given":["a"],"use":"usual","id":"n"}],"id":"1","extension":[{"valueCode":"c","url":"urn:x"}]}',
  )
  expect(writeXml(resource)).toBe(
    declaration +
      patient(
        '<id value="1"/><extension url="urn:x"><valueCode value="c"/></extension><name id="n"><use value="usual"/><given value="a"/></name><gender id="g"/><birthDate value="2000-01-01"/>',
      ),
  )
})

describe('what may be read', () => {
  test.each<[string, string]>([
    ['elements in any order', patient('<active value="true"/><id value="1"/>')],
    [
      'comments, processing instructions and white space, which are dropped',
      `${declaration}\n<!-- a --><?b c?>\n${patient('\n <!-- d --><id value="1"/>\t<?e?><active value="true"/>\r\n')}\n`,
    ],
    ['a byte order mark', `\ufeff${declaration}${patient('<id value="1"/><active value="true"/>')}`],
    [
      'an encoding in small letters',
      `<?xml version="1.0" encoding="utf-8"?>${patient('<id value="1"/><active value="true"/>')}`,
    ],
    [
      'a prefix for the namespace',
      '<f:Patient xmlns:f="http://hl7.org/fhir"><f:id value="1"/><f:active value="true"/></f:Patient>',
    ],
    [
      'the place of the schema',
      '<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd"><id value="1"/><active value="true"/></Patient>',
    ],
    ['references to characters', patient('<id value="&#49;"/><active value="&#x74;rue"/>')],
    ['elements with an end tag of their own', patient("<id value='1'></id><active value='true'> </active>")],
  ])('%s', (_, xml) => {
    const expected = { resourceType: 'Patient', id: '1', active: true }
    expect(readXml(xml)).toEqual(expected)
    expect(readXml(Buffer.from(xml))).toEqual(expected)
  })

  test('a narrative whose namespace is declared around it is written anew, because JSON holds the div alone', () => {
    const expected = `<div ${xhtml}><p title="a &quot;b&quot;" xml:lang="en">1 &lt; 2<br></br> &amp; c</p></div>`
    const content = `<h:p title='a "b"' xml:lang="en">1 &lt; 2<h:br/> <![CDATA[&]]> c</h:p>`
    for (const xml of [
      `<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><h:div>${content}</h:div></text></Patient>`,
      patient(`<text><h:div xmlns:h="http://www.w3.org/1999/xhtml">${content}</h:div></text>`),
      `<f:Patient xmlns:f="http://hl7.org/fhir" ${xhtml}><f:text><div>${content.replaceAll('h:', '')}</div></f:text></f:Patient>`,
    ]) {
      const resource = readXml(xml)
      expect((resource['text'] as JsonObject)['div']).toBe(expected)
      expect(readXml(writeXml(resource))).toEqual(resource)
    }
  })
})

describe('what validation must see and refuse, nothing is lost on the way', () => {
  test.each<[string, string]>([
    ['<active value="TRUE"/>', '"active":"TRUE"'],
    ['<active value=""/>', '"active":""'],
    ['<multipleBirthInteger value="1.0"/>', '"multipleBirthInteger":"1.0"'],
    ['<multipleBirthInteger value="01"/>', '"multipleBirthInteger":"01"'],
    ['<multipleBirthInteger value="+1"/>', '"multipleBirthInteger":"+1"'],
    [
      '<extension url="urn:x"><valueDecimal value="1e999"/></extension>',
      '"extension":[{"url":"urn:x","valueDecimal":"1e999"}]',
    ],
    [
      '<extension url="urn:x"><valueDecimal value=".5"/></extension>',
      '"extension":[{"url":"urn:x","valueDecimal":".5"}]',
    ],
    [
      '<extension url="urn:x"><valueDecimal value="NaN"/></extension>',
      '"extension":[{"url":"urn:x","valueDecimal":"NaN"}]',
    ],
    ['<birthDate value="2000"/><birthDate value="2001"/>', '"birthDate":["2000","2001"]'],
    [
      '<birthDate value="2000"/><birthDate id="b" value="2001"/>',
      '"birthDate":["2000","2001"],"_birthDate":[null,{"id":"b"}]',
    ],
    [
      '<birthDate id="b" value="2000"/><birthDate value="2001"/>',
      '"birthDate":["2000","2001"],"_birthDate":[{"id":"b"},null]',
    ],
    [
      '<maritalStatus><text value="a"/></maritalStatus><maritalStatus><text value="b"/></maritalStatus>',
      '"maritalStatus":[{"text":"a"},{"text":"b"}]',
    ],
    [
      '<deceasedBoolean value="true"/><deceasedDateTime value="2000"/>',
      '"deceasedBoolean":true,"deceasedDateTime":"2000"',
    ],
    ['<gender/>', '"_gender":{}'],
    ['<name/>', '"name":[{}]'],
    ['<name><given value="a"/><given/></name>', '"name":[{"given":["a",null],"_given":[null,{}]}]'],
    [
      `<text><div ${xhtml}>a</div><div ${xhtml}>b</div></text>`,
      `"text":{"div":["<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a</div>","<div xmlns=\\"http://www.w3.org/1999/xhtml\\">b</div>"]}`,
    ],
  ])('%s', (xml, members) => {
    expect(readXml(patient(xml))).toEqual(json(`{"resourceType":"Patient",${members}}`))
  })
})

describe('what is refused, with the place', () => {
  const refusal = (xml: string | Uint8Array): FhirError => {
    try {
      readXml(xml)
    } catch (error) {
      if (error instanceof FhirError) return error
      throw error
    }
    throw new Error('nothing was refused')
  }

  test.each<[string, string, string | undefined]>([
    ['nothing', '', undefined],
    ['no XML', 'Patient', undefined],
    ['JSON', '{"resourceType":"Patient"}', undefined],
    ['a document that ends early', '<Patient xmlns="http://hl7.org/fhir"><name>', 'Patient.name[0]'],
    ['tags in the wrong order', patient('<name><given value="a"></name></given>'), 'Patient.name[0]'],
    ['text after the end', `${patient('')}x`, undefined],
    ['two roots', patient('') + patient(''), undefined],
    ['a document type', `<!DOCTYPE Patient SYSTEM "http://example.org/evil.dtd">${patient('')}`, undefined],
    [
      'an entity',
      `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>${patient('<language value="&x;"/>')}`,
      undefined,
    ],
    [
      'entities that grow',
      `<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]>${patient('<language value="&y;"/>')}`,
      undefined,
    ],
    ['an entity of HTML', patient(`<text><div ${xhtml}>&nbsp;</div></text>`), 'Patient.text'],
    ['no namespace', '<Patient/>', undefined],
    ['another namespace', '<Patient xmlns="http://hl7.org/fhir/"/>', undefined],
    ['another namespace inside', patient('<name xmlns="urn:x"/>'), 'Patient'],
    ['a prefix that is not declared', patient('<x:name/>'), 'Patient'],
    ['an unknown type', '<Person2 xmlns="http://hl7.org/fhir"/>', undefined],
    ['an abstract type', '<DomainResource xmlns="http://hl7.org/fhir"/>', undefined],
    ['a data type', '<HumanName xmlns="http://hl7.org/fhir"/>', undefined],
    ['an unknown element', patient('<name><surname value="a"/></name>'), 'Patient.name[0]'],
    ['the second of two', patient('<name/><name><x/></name>'), 'Patient.name[1]'],
    ['a name of JSON', patient('<_birthDate value="a"/>'), 'Patient'],
    ['the resource type', patient('<resourceType value="Patient"/>'), 'Patient'],
    [
      'a choice without a type',
      '<Observation xmlns="http://hl7.org/fhir"><value value="1"/></Observation>',
      'Observation',
    ],
    [
      'a choice with a type it does not have',
      '<Observation xmlns="http://hl7.org/fhir"><valueAddress/></Observation>',
      'Observation',
    ],
    [
      'an element in a primitive',
      patient('<birthDate value="2000"><value value="1"/></birthDate>'),
      'Patient.birthDate',
    ],
    ['an element of Object.prototype', patient('<constructor value="1"/>'), 'Patient'],
    ['__proto__', patient('<__proto__ value="1"/>'), 'Patient'],
    ['the id of an element as an element', patient('<name><id value="n"/></name>'), 'Patient.name[0]'],
    ['the id of a resource as an attribute', '<Patient xmlns="http://hl7.org/fhir" id="1"/>', 'Patient'],
    [
      'the url of an extension as an element',
      patient('<extension><url value="urn:x"/></extension>'),
      'Patient.extension[0]',
    ],
    ['an unknown attribute', patient('<name use="usual"/>'), 'Patient.name[0]'],
    ['a value where there is none', patient('<name value="a"/>'), 'Patient.name[0]'],
    [
      'an attribute with a prefix',
      '<Patient xmlns="http://hl7.org/fhir" xmlns:x="urn:x"><birthDate x:value="2000"/></Patient>',
      'Patient.birthDate',
    ],
    ['the same attribute twice', patient('<birthDate value="2000" value="2001"/>'), 'Patient'],
    [
      'the place of the schema inside',
      patient('<name xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"/>'),
      'Patient.name[0]',
    ],
    ['text beside elements', patient('<name>Ana</name>'), 'Patient.name[0]'],
    ['text in a primitive', patient('<birthDate>2000</birthDate>'), 'Patient.birthDate'],
    ['a CDATA section', patient('<![CDATA[a]]>'), 'Patient'],
    ['no resource where one is contained', patient('<contained/>'), 'Patient.contained[0]'],
    [
      'two resources where one is contained',
      patient('<contained><Basic/><Basic/></contained>'),
      'Patient.contained[0]',
    ],
    [
      'an attribute where a resource is contained',
      patient('<contained id="c"><Basic/></contained>'),
      'Patient.contained[0]',
    ],
    [
      'a data type where a resource is contained',
      patient('<contained><HumanName/></contained>'),
      'Patient.contained[0]',
    ],
    [
      'an unknown element in the second entry',
      '<Bundle xmlns="http://hl7.org/fhir"><entry/><entry><resource><Patient><name/><name><x/></name></Patient></resource></entry></Bundle>',
      'Bundle.entry[1].resource.name[1]',
    ],
    ['a narrative in the namespace of FHIR', patient('<text><div>a</div></text>'), 'Patient.text'],
    [
      'an element of FHIR in a narrative',
      patient(`<text><div ${xhtml}><p xmlns="http://hl7.org/fhir"/></div></text>`),
      'Patient.text',
    ],
    [
      'a prefix in a narrative without one',
      patient(`<text><div ${xhtml} xmlns:h="http://www.w3.org/1999/xhtml"><h:p/></div></text>`),
      'Patient.text',
    ],
    [
      'an attribute of another vocabulary in a narrative',
      patient(`<text><div ${xhtml} xmlns:x="urn:x" x:y="z"/></text>`),
      'Patient.text',
    ],
    ['an encoding other than UTF-8', `<?xml version="1.0" encoding="ISO-8859-1"?>${patient('')}`, undefined],
    ['a reference to a control character', patient('<language value="&#0;"/>'), 'Patient'],
    ['a control character', patient('<language value="\u0001"/>'), 'Patient'],
    ['a "<" in an attribute', patient('<language value="<"/>'), 'Patient'],
    ['half a surrogate pair', patient('<language value="\ud800"/>'), undefined],
  ])('%s', (_, xml, place) => {
    const error = refusal(xml)
    expect([error.status, error.issues[0]!.code, error.issues[0]!.expression]).toEqual([
      400,
      'structure',
      place && [place],
    ])
  })

  test('bytes that are not UTF-8', () => {
    expect(refusal(Buffer.from(patient('<language value="é"/>'), 'latin1')).message).toContain('UTF-8')
    expect(refusal(Buffer.from(`\ufeff${patient('')}`, 'utf16le')).message).toContain('UTF-8')
  })

  test('the line and the column', () => {
    expect(refusal(patient('\n\n  <foo/>')).message).toBe('Patient has no element "foo" (line 3, column 8)')
  })

  test('more levels than JSON may have', () => {
    const nested = (levels: number) => patient('<extension url="urn:x">'.repeat(levels) + '</extension>'.repeat(levels))
    expect(parseJson(writeJson(readXml(nested(49))))).toEqual(readXml(nested(49)))
    expect(refusal(nested(50)).message).toContain('levels')
    expect(refusal(patient(`<text><div ${xhtml}>${'<b>'.repeat(100)}`)).message).toContain('levels')
  })

  test('long names are not repeated to whom sent them', () => {
    expect(refusal(patient(`<${'a'.repeat(100_000)}/>`)).message.length).toBeLessThan(200)
    expect(refusal(patient(`<name ${'a'.repeat(100_000)}="1"/>`)).message.length).toBeLessThan(200)
    expect(refusal(patient(`<x:${'a'.repeat(100_000)}/>`)).message.length).toBeLessThan(300)
  })
})

describe('what is not written as something else', () => {
  test.each<[string, string, string]>([
    ['an unknown element', '"foo":1', 'Patient'],
    ['an unknown element inside', '"name":[{"surname":"a"}]', 'Patient.name[0]'],
    ['the companion of a complex element', '"_name":[{"id":"a"}]', 'Patient'],
    ['one value for a list', '"name":{"family":"a"}', 'Patient.name'],
    ['one primitive for a list', '"name":[{"given":"a"}]', 'Patient.name[0].given'],
    ['a list for one value', '"birthDate":["2000"]', 'Patient.birthDate'],
    ['a list for one complex value', '"maritalStatus":[{"text":"a"}]', 'Patient.maritalStatus'],
    ['a list in a list', '"name":[[{"family":"a"}]]', 'Patient.name[0]'],
    ['a string for an object', '"name":["a"]', 'Patient.name[0]'],
    ['null', '"name":[null]', 'Patient.name[0]'],
    ['null for a primitive', '"birthDate":null', 'Patient.birthDate'],
    ['null without an extension', '"name":[{"given":[null]}]', 'Patient.name[0].given[0]'],
    ['an object for a primitive', '"birthDate":{"a":1}', 'Patient.birthDate'],
    ['a number for a string', '"birthDate":2000', 'Patient.birthDate'],
    ['a string for a boolean', '"active":"true"', 'Patient.active'],
    ['a string for a number', '"multipleBirthInteger":"1"', 'Patient.multipleBirthInteger'],
    ['a string for a companion', '"_birthDate":"a"', 'Patient.birthDate'],
    ['a value in a companion', '"_birthDate":{"value":"a"}', 'Patient.birthDate'],
    ['a number as id', '"name":[{"id":1}]', 'Patient.name[0].id'],
    ['a number as url', '"extension":[{"url":1}]', 'Patient.extension[0].url'],
    ['a string as a contained resource', '"contained":["a"]', 'Patient.contained[0]'],
    ['a contained resource without a type', '"contained":[{"id":"a"}]', 'Patient.contained[0]'],
    ['a contained resource of an unknown type', '"contained":[{"resourceType":"HumanName"}]', 'Patient.contained[0]'],
    ['a number as narrative', '"text":{"div":1}', 'Patient.text.div'],
  ])('%s', (_, members, place) => {
    const write = () => writeXml(json(`{"resourceType":"Patient",${members}}`))
    expect(write).toThrow(FhirError)
    try {
      write()
    } catch (error) {
      const { status, issues } = error as FhirError
      expect([status, issues[0]!.code, issues[0]!.expression]).toEqual([400, 'structure', [place]])
    }
  })

  test.each<[string, string]>([
    ['a NUL', '"name":[{"text":"a\\u0000"}]'],
    ['a control character', '"name":[{"text":"\\u001f"}]'],
    ['a character that is none', '"name":[{"text":"\\uffff"}]'],
    ['a narrative that is not well-formed', `"text":{"div":"<div ${xhtml.replaceAll('"', '\\"')}><p></div>"}`],
    ['a narrative with something after it', `"text":{"div":"<div ${xhtml.replaceAll('"', '\\"')}/><Basic>"}`],
    ['two narratives', `"text":{"div":"<div ${xhtml.replaceAll('"', '\\"')}/><div ${xhtml.replaceAll('"', '\\"')}/>"}`],
    ['a narrative with an entity', `"text":{"div":"<div ${xhtml.replaceAll('"', '\\"')}>&nbsp;</div>"}`],
    ['a narrative with a document type', `"text":{"div":"<div ${xhtml.replaceAll('"', '\\"')}><!DOCTYPE a></div>"}`],
    ['a narrative without its namespace', '"text":{"div":"<div>a</div>"}'],
    ['a narrative that is text', '"text":{"div":"a"}'],
    ['a narrative that closes what it did not open', '"text":{"div":"<div/></text><active value=\\"true\\"/>"}'],
  ])('%s is answered 406: ask for JSON', (_, members) => {
    try {
      writeXml(json(`{"resourceType":"Patient",${members}}`))
      throw new Error('nothing was refused')
    } catch (error) {
      expect((error as FhirError).status).toBe(406)
      expect((error as FhirError).message).toContain('application/fhir+json')
    }
  })

  test('anything but a resource', () => {
    for (const value of [{}, { resourceType: 1 }, { resourceType: 'Element' }] as unknown as Resource[])
      expect(() => writeXml(value)).toThrow(FhirError)
  })
})

/** A primitive's value of any kind its type has; text is any that XML can carry. */
const text = fc.string({ unit: 'grapheme', minLength: 1 })
const primitives: Record<string, fc.Arbitrary<Json>> = {
  boolean: fc.boolean(),
  integer: fc.integer(),
  positiveInt: fc.integer({ min: 1 }),
  unsignedInt: fc.nat(),
  decimal: fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?(e-?[0-9]{1,2})?$/).map((text) => parseJson(text)),
  xhtml: text.map(
    (text) => `<div ${xhtml}>${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}</div>`,
  ),
}

/** Any content a type can have, with no regard to what is required, a few levels deep. */
function content(type: TypeDefinition, levels: number): fc.Arbitrary<JsonObject> {
  const names = [...type.properties]
    .filter(
      ([
        ,
        {
          element,
          type: { code },
        },
      ]) => element.max !== 0 && (levels > 0 || isPrimitive(code)),
    )
    .map(([name]) => name)
  return fc.subarray(names, { maxLength: Math.min(4, names.length) }).chain((chosen) =>
    fc
      .tuple(
        ...chosen.map((name) => {
          const {
            element,
            type: { code },
          } = type.properties.get(name)!
          const value = isPrimitive(code)
            ? primitive(code)
            : code === 'Resource'
              ? resource(levels - 1)
              : content(typeDefinition(code)!, levels - 1)
          return (element.many ? fc.array(value, { minLength: 1, maxLength: 2 }) : value).map(
            (value) => [name, value] as const,
          )
        }),
      )
      .map((entries) => Object.fromEntries(entries.flatMap(([name, value]) => membersOf(type, name, value)))),
  )
}

const isPrimitive = (code: string): boolean => typeDefinition(code)!.kind === 'primitive'

const ids = fc.option(fc.constantFrom('a', 'b-1', 'é'), { freq: 3 })
const pairs = new Map<string, fc.Arbitrary<Json>>()

/** A primitive with or without an id, as a pair: the tree has the two in two properties. */
function primitive(code: string): fc.Arbitrary<Json> {
  const pair = pairs.get(code) ?? fc.tuple(primitives[code] ?? text, ids).map((pair) => pair as Json)
  pairs.set(code, pair)
  return pair
}

function membersOf(type: TypeDefinition, name: string, value: Json): [string, Json][] {
  const { element, type: elementType } = type.properties.get(name)!
  if (!isPrimitive(elementType.code)) return [[name, value]]
  const isAttribute = (name === 'id' && type.kind !== 'resource') || (name === 'url' && type.name === 'Extension')
  const pairs = (element.many ? value : [value]) as [Json, string | null][]
  const values = pairs.map(([value]) => value)
  const companions = pairs.map(([, id]) => (id === null ? null : { id }))
  if (isAttribute || elementType.code === 'xhtml' || companions.every((each) => each === null))
    return [[name, element.many ? values : values[0]!]]
  return element.many
    ? [
        [name, values],
        [`_${name}`, companions],
      ]
    : [
        [name, values[0]!],
        [`_${name}`, companions[0]!],
      ]
}

const resource = (levels: number): fc.Arbitrary<JsonObject> =>
  fc
    .constantFrom(...resourceTypes)
    .chain((name) => content(typeDefinition(name)!, levels).map((members) => ({ resourceType: name, ...members })))

describe('for any resource', () => {
  test('reading what was written gives the same content', () => {
    fc.assert(
      fc.property(resource(2), fc.boolean(), (tree, pretty) => {
        const xml = writeXml(tree as Resource, { pretty })
        expect(sorted(readXml(xml))).toEqual(sorted(tree))
        expect(writeXml(readXml(xml), { pretty })).toBe(xml)
      }),
      { numRuns: 150 },
    )
  })

  test('XML with one character changed is read or refused with a FhirError, never another error', () => {
    const xml = `${declaration}<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/><div ${xhtml}><p>a &amp; b</p></div></text><contained><Basic><id value="b"/></Basic></contained><name id="n"><given value="a"><extension url="urn:x"><valueDecimal value="1.0"/></extension></given></name></Patient>`
    fc.assert(
      fc.property(
        fc.nat(xml.length),
        fc.nat(3),
        fc.constantFrom(
          '',
          '<',
          '>',
          '/',
          '"',
          "'",
          '&',
          '=',
          ' ',
          '\n',
          ':',
          'x',
          '\u0000',
          '<!--',
          ']]>',
          '<![CDATA[',
          '😀',
        ),
        (at, removed, inserted) => {
          const changed = xml.slice(0, at) + inserted + xml.slice(at + removed)
          try {
            const tree = readXml(changed)
            expect(isObject(tree)).toBe(true)
            expect(readXml(changed)).toEqual(tree)
          } catch (error) {
            expect(error).toBeInstanceOf(FhirError)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})

/** Without the order of properties, which XML decides. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value instanceof Decimal ? value.text : value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key]!)]),
  )
}

test('every type of the definitions can be written and read', () => {
  for (const { kind, name, abstract } of allTypes())
    if (kind === 'resource' && !abstract)
      expect(readXml(writeXml({ resourceType: name, id: 'a' }))).toEqual({ resourceType: name, id: 'a' })
})

test('a large bundle is read and written in time that grows with its size', () => {
  const bundle = (entries: number): Resource => ({
    resourceType: 'Bundle',
    type: 'collection',
    entry: Array.from({ length: entries }, (_, i) => ({
      fullUrl: `urn:uuid:${i}`,
      resource: {
        resourceType: 'Patient',
        id: `${i}`,
        name: [{ family: 'Oduya', given: ['a', 'b'] }],
        birthDate: '1970-03-30',
      },
    })),
  })
  const seconds = (entries: number) => {
    const tree = bundle(entries)
    const start = performance.now()
    expect((readXml(writeXml(tree))['entry'] as Json[]).length).toBe(entries)
    return (performance.now() - start) / 1000
  }
  seconds(1000)
  expect(seconds(20_000)).toBeLessThan(5)
})
