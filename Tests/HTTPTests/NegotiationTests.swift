import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

@Suite struct NegotiationTests {
  func request(_ method: HTTPMethod, _ fields: HTTPFields) throws -> HTTPRequest {
    HTTPRequest(method: method, target: try HTTPTarget("/"), fields: fields)
  }

  // RFC 9110 §12.5.3.
  @Test(
    arguments: [
      ("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("gzip;q=0", nil), ("*", "gzip"), ("*;q=0", nil), ("identity", nil),
      ("identity;q=1, gzip;q=0.5", nil), ("gzip ; Q=1.000", "gzip"), ("gzip;q=1.1", nil), ("gzip;q=x", nil), ("", nil), ("x-gzip", "gzip"),
    ] as [(String, String?)])
  func `Accept-Encoding`(field: String, expected: String?) { #expect(AcceptEncoding.choose(["Accept-Encoding": field]) == expected) }

  @Test func `without Accept-Encoding nothing is compressed`() { #expect(AcceptEncoding.choose([:]) == nil) }

  @Test func `origins are matched exactly and echoed`() throws {
    let policy = CORSPolicy(origins: .exactly(["https://a.example"]), allowsCredentials: true)
    guard case .proceed(let fields) = policy.decide(try request(.get, ["Origin": "https://a.example"])) else {
      throw HTTPError(.forbidden, "")
    }
    #expect(fields.first("Access-Control-Allow-Origin") == "https://a.example" && fields.first("Vary") == "Origin")
    #expect(fields.first("Access-Control-Allow-Credentials") == "true")
    #expect(fields.first("Access-Control-Expose-Headers") == CORSPolicy(origins: .any).exposedHeaders.joined(separator: ", "))
    for other in ["https://a.example.evil", "http://a.example", "https://a.example:443", "null", "HTTPS://A.EXAMPLE"] {
      #expect(policy.decide(try request(.get, ["Origin": other])) == .proceed(["Vary": "Origin"]))
    }
    #expect(policy.decide(try request(.get, [:])) == .proceed(["Vary": "Origin"]))
  }

  @Test func `a preflight is answered and cached`() throws {
    let policy = CORSPolicy(origins: .any, maxAgeSeconds: 60)
    let preflight = try request(.options, ["Origin": "https://x", "Access-Control-Request-Method": "PUT"])
    guard case .preflight(let fields) = policy.decide(preflight) else { throw HTTPError(.forbidden, "") }
    #expect(fields.first("Access-Control-Allow-Origin") == "*" && fields.first("Access-Control-Max-Age") == "60")
    #expect(
      fields.contains("Access-Control-Allow-Methods", token: "PUT")
        && fields.contains("Access-Control-Allow-Headers", token: "content-range"))
    #expect(!fields.contains("Vary"))
    let plain = try request(.options, ["Origin": "https://x"])
    guard case .proceed = policy.decide(plain) else { throw HTTPError(.forbidden, "OPTIONS without a requested method is no preflight") }
  }

  @Test func `any origin never goes with credentials`() throws {
    let policy = CORSPolicy(origins: .any, allowsCredentials: true)
    #expect(policy.decide(try request(.get, ["Origin": "https://x"])) == .proceed([:]) && !policy.allows("https://x"))
  }

  @Test(arguments: [CompressionFormat.gzip, .zlib, .raw])
  func `compression round-trips in pieces`(format: CompressionFormat) throws {
    var random = SeededRandom(seed: 5)
    let text = (0..<100_000).map { _ in UInt8.random(in: 97...104, using: &random) }
    var packed: [UInt8] = []
    let deflater = Deflater(format)
    for start in stride(from: 0, to: text.count, by: 7777) {
      deflater.compress(text.span.bytes.extracting(start..<min(text.count, start + 7777)), flush: .sync, into: &packed)
    }
    let nothing: [UInt8] = []
    deflater.compress(nothing.span.bytes, flush: .finish, into: &packed)
    let inflater = Inflater(format, maximum: text.count)
    var out: [UInt8] = []
    for start in stride(from: 0, to: packed.count, by: 333) {
      try inflater.decompress(packed.span.bytes.extracting(start..<min(packed.count, start + 333)), into: &out)
    }
    #expect(out == text && inflater.isFinished)
    let cut = Array(packed.dropLast(packed.count / 2))
    #expect(throws: ParseError.self) { _ = try Inflater.decompress(cut, format, maximum: text.count) }
  }

  @Test func `a bomb stops at the bound`() {
    let bomb = Deflater.compress([UInt8](repeating: 0, count: 10_000_000))
    var out: [UInt8] = []
    let inflater = Inflater(.gzip, maximum: 100_000)
    #expect(throws: ParseError.limit("decompressed data", maximum: 100_000)) { try inflater.decompress(bomb.span.bytes, into: &out) }
    #expect(out.count <= 100_001)
    #expect(throws: ParseError.self) { _ = try Inflater.decompress([1, 2, 3, 4], maximum: 10) }
  }

  @Test func `media types`() {
    #expect(MediaType.of(fileName: "a.b.M3U8") == "application/vnd.apple.mpegurl" && MediaType.of(fileName: "x") == MediaType.octets)
    #expect(MediaType.isCompressible("text/html; charset=utf-8") && !MediaType.isCompressible("video/mp4"))
  }

  @Test func `fields keep their order and forget case`() {
    var fields: HTTPFields = ["A": "1", "b": "2, \"x,y\"", "a": "3"]
    #expect(fields.all("A") == ["1", "3"] && fields.list("B") == ["2", "\"x,y\""] && fields.map(\.name) == ["A", "b", "a"])
    fields.set("a", "4")
    fields.insert("Vary", token: "Origin")
    fields.insert("vary", token: "origin")
    fields.insert("Vary", token: "Accept-Encoding")
    #expect(fields.all("a") == ["4"] && fields.count == 3 && fields.first("Vary") == "Origin, Accept-Encoding")
    fields.remove("VARY")
    #expect(!fields.contains("Vary"))
  }
}
