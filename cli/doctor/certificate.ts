/** The end of a certificate: RFC 5280, section 4.1, in the encoding of X.690. */

const SEQUENCE = 0x30
const UTC_TIME = 0x17

type Value = { readonly tag: number; readonly body: Buffer; readonly end: number }

/** The value at a place: its tag, its length in one byte or in several, its body. Undefined where it is cut off. */
const valueAt = (der: Buffer, at: number): Value | undefined => {
  const [tag, first] = der.subarray(at, at + 2)
  if (tag === undefined || first === undefined) return undefined
  const more = first < 0x80 ? 0 : first & 0x7f
  const start = at + 2 + more
  if (more > 4 || start > der.length) return undefined
  const length = more === 0 ? first : der.readUIntBE(at + 2, more)
  return start + length > der.length
    ? undefined
    : { tag, body: der.subarray(start, start + length), end: start + length }
}

const valuesIn = (body: Buffer | undefined): Value[] => {
  const values: Value[] = []
  for (let at = 0; body && at < body.length; ) {
    const value = valueAt(body, at)
    if (!value) return []
    values.push(value)
    at = value.end
  }
  return values
}

/** "250131120000Z", with four digits of the year in the other form: milliseconds since the epoch. */
const timeOf = ({ tag, body }: Value): number => {
  const text = body.toString('latin1')
  const century = Number(text.slice(0, 2)) < 50 ? '20' : '19'
  const whole = tag === UTC_TIME ? `${century}${text}` : text
  return Date.parse(whole.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

/** When the first certificate of a PEM file ends, in milliseconds since the epoch; undefined if it has none. */
export const endOfCertificate = (pem: string): number | undefined => {
  const [, base64] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(pem) ?? []
  if (base64 === undefined) return undefined
  const [certificate] = valuesIn(Buffer.from(base64, 'base64'))
  const [signed] = valuesIn(certificate?.body)
  // Version and serial number, the algorithm, the issuer, then the validity; the only sequence of two times.
  const validity = valuesIn(signed?.body)
    .filter(({ tag }) => tag === SEQUENCE)
    .map(({ body }) => valuesIn(body))
    .find(([from, to]) =>
      [from, to].every(time => time && (time.tag === UTC_TIME || time.tag === UTC_TIME + 1)),
    )
  const time = validity?.[1] && timeOf(validity[1])
  return Number.isNaN(time) ? undefined : time
}
