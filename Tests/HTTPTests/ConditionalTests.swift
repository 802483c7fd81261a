import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

@Suite struct ConditionalTests {
  static let modified = WallTime(milliseconds: 784_111_777_500)
  let representation = Representation(length: 1000, etag: EntityTag("v1"), lastModified: modified)

  func decide(_ fields: HTTPFields, _ method: HTTPMethod = .get, on other: Representation?? = nil) throws -> ConditionalDecision {
    let request = HTTPRequest(method: method, target: try HTTPTarget("/"), fields: fields)
    return request.evaluateConditions(on: other ?? representation, now: Self.modified)
  }

  // RFC 9110 §5.6.7: one moment in its three forms.
  @Test func `dates are read in three forms and written in one`() {
    let whole = WallTime(milliseconds: 784_111_777_000)
    for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
      #expect(HTTPDate.parse(text, now: whole) == whole, "\(text)")
    }
    #expect(HTTPDate.format(Self.modified) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HTTPDate.parse("Sunday, 06-Nov-94 08:49:37 GMT", now: WallTime(milliseconds: 1_800_000_000_000)) == whole)
    for text in [
      "", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 0٦ Nov 1994 08:49:37 GMT",
    ] {
      #expect(HTTPDate.parse(text, now: whole) == nil, "\(text)")
    }
    var random = SeededRandom(seed: 3)
    for _ in 0..<2000 {
      let time = WallTime(milliseconds: Int64.random(in: -60_000_000_000...200_000_000_000, using: &random) * 1000)
      #expect(HTTPDate.parse(HTTPDate.format(time), now: time) == time)
    }
  }

  // RFC 9110 §8.8.3.2, the table of examples.
  @Test func `entity tags compare strongly and weakly`() {
    let (weak, strong) = (EntityTag(parsing: "W/\"1\""), EntityTag(parsing: "\"1\""))
    #expect(weak?.description == "W/\"1\"" && weak?.matchesWeakly(EntityTag("1")) == true && weak?.matchesStrongly(EntityTag("1")) == false)
    #expect(strong?.matchesStrongly(EntityTag("1")) == true && EntityTag(parsing: "1") == nil && EntityTag(parsing: "\"") == nil)
  }

  // RFC 9110 §13.1, §13.2.2.
  static let conditions: [(HTTPFields, HTTPMethod, ConditionalDecision)] = [
    (["If-Match": "\"v1\""], HTTPMethod.get, ConditionalDecision.whole),
    (["If-Match": "\"v0\", \"v1\""], .put, .whole),
    (["If-Match": "W/\"v1\""], .put, .preconditionFailed),
    (["If-Match": "*"], .put, .whole),
    (["If-Match": "\"v2\""], .get, .preconditionFailed),
    (["If-None-Match": "\"v1\""], .get, .notModified),
    (["If-None-Match": "\"a,b\", W/\"v1\""], .head, .notModified),
    (["If-None-Match": "*"], .put, .preconditionFailed),
    (["If-None-Match": "\"v2\""], .get, .whole),
    (["If-None-Match": "\"v2\"", "If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .get, .whole),
    (["If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .get, .notModified),
    (["If-Modified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"], .get, .whole),
    (["If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .post, .whole),
    (["If-Modified-Since": "yesterday"], .get, .whole),
    (["If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"], .put, .preconditionFailed),
    (["If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"], .put, .whole),
    (["Range": "bytes=0-0", "If-Range": "\"v1\""], .get, .part(0..<1)),
    (["Range": "bytes=0-0", "If-Range": "W/\"v1\""], .get, .whole),
    (["Range": "bytes=0-0", "If-Range": "Sun, 06 Nov 1994 08:49:37 GMT"], .get, .part(0..<1)),
    (["Range": "bytes=0-0", "If-Range": "Sun, 06 Nov 1994 08:49:38 GMT"], .get, .whole),
    (["Range": "bytes=0-0", "If-None-Match": "\"v1\""], .get, .notModified),
    (["Range": "bytes=0-0"], .head, .whole),
    (["Range": "bytes=1000-"], .get, .unsatisfiable),
  ]

  @Test(arguments: conditions)
  func `conditions are decided in order`(fields: HTTPFields, method: HTTPMethod, expected: ConditionalDecision) throws {
    #expect(try decide(fields, method) == expected)
  }

  @Test func `If-Match fails and If-None-Match holds when nothing is there`() throws {
    #expect(try decide(["If-Match": "*"], .put, on: .some(nil)) == .preconditionFailed)
    #expect(try decide(["If-None-Match": "*"], .put, on: .some(nil)) == .whole)
  }

  // RFC 9110 §14.1.2, §14.2.
  @Test(arguments: [
    ("bytes=0-499", ByteRange.Selection.parts([0..<500])), ("bytes=500-", .parts([500..<1000])), ("bytes=-100", .parts([900..<1000])),
    ("bytes=-5000", .parts([0..<1000])), ("bytes=900-5000", .parts([900..<1000])), ("Bytes=0-0, -1", .parts([0..<1, 999..<1000])),
    ("bytes=-0", .unsatisfiable), ("bytes=1000-1001", .unsatisfiable), ("bytes=0-1,2000-", .parts([0..<2])), ("bytes=5-4", .whole),
    ("bytes=", .whole), ("bytes=a-b", .whole), ("bytes=0-5,3-9", .whole), ("items=0-5", .whole), ("bytes", .whole), ("bytes=--1", .whole),
    ("bytes=0-99999999999999999999999999", .parts([0..<1000])), ("bytes=99999999999999999999999999-", .unsatisfiable),
    ("bytes=" + String(repeating: "0-0,", count: 40), .whole),
  ])
  func `ranges`(field: String, expected: ByteRange.Selection) { #expect(ByteRange.select(field, length: 1000) == expected) }

  @Test func `an empty representation satisfies no range`() { #expect(ByteRange.select("bytes=0-", length: 0) == .unsatisfiable) }

  // RFC 9110 §14.4.
  @Test func `Content-Range of uploads`() {
    #expect(ByteRange.parseContentRange("bytes 0-9/100") == .init(range: 0..<10, length: 100))
    #expect(ByteRange.parseContentRange("bytes 5-5/*") == .init(range: 5..<6, length: nil))
    #expect(ByteRange.parseContentRange("bytes */100") == .init(range: nil, length: 100))
    for bad in ["", "bytes", "bytes 9-0/10", "bytes 0-10/10", "bytes 0-9", "bytes 99999999999999999999-999999999999999999999/*"] {
      #expect(ByteRange.parseContentRange(bad) == nil, "\(bad)")
    }
    #expect(ByteRange.contentRange(0..<10, length: 100) == "bytes 0-9/100")
  }
}
