import MartletHTTP
import MartletPrimitives
import Testing

@Suite struct HTTPTargetTests {
  @Test(arguments: [
    "/../etc/passwd", "/a/../b", "/a/..", "/./a", "/%2e%2e/a", "/%2E./a", "/.%2e/a", "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00b",
    "/a%0ab", "/%", "/%4", "/%zz", "/%ff", "/%c0%ae%c0%ae/a", "/a b", "", "a", "ftp://h/a", "http:///a", "http://a@b/", "*", "//%2e%2e//a",
  ])
  func `a path that could climb or confuse is refused`(raw: String) {
    #expect(throws: HTTPError.self) { _ = try HTTPTarget(raw) }
  }

  @Test func `the canonical path has no empty segments`() throws {
    let target = try HTTPTarget("//live//c%C3%A4m%20%25/?q=1?2")
    #expect(target.segments == ["live", "cäm %"] && target.path == "/live/cäm %" && target.hasTrailingSlash)
    #expect(target.rawPath == "//live//c%C3%A4m%20%25/" && target.query.first("q") == "1?2")
  }

  // RFC 9112 §3.2.
  @Test func `the four forms`() throws {
    let absolute = try HTTPTarget("HTTP://Host:80?x")
    #expect(absolute.authority == "Host:80" && absolute.path == "/" && absolute.rawQuery == "x")
    #expect(try HTTPTarget("*", method: .options).form == .asterisk)
    #expect(try HTTPTarget("[::1]:443", method: .connect).authority == "[::1]:443")
    #expect(throws: HTTPError.self) { _ = try HTTPTarget("/", method: .connect) }
  }

  @Test func `secrets do not reach a description`() throws {
    let target = try HTTPTarget("/live/cam.flv?token=abc&x=1&%74oken=q&KEY=2&token")
    #expect(target.description == "/live/cam.flv?token=***&x=1&%74oken=***&KEY=***&token=***")
    #expect(target.serialized.contains("token=abc"))
    let url = URLReference("rtmp://user:pw@Example.org/live/cam?token=abc#frag")
    #expect(url?.description == "rtmp://user:***@example.org/live/cam?token=***")
    #expect(url?.serialized == "rtmp://example.org/live/cam?token=abc" && url?.effectivePort == 1935 && url?.password == "pw")
  }

  @Test func `URLs without a host or with a bad port are none`() {
    for text in ["", "http:", "http://", "/a", "http://h:70000/", "http://[::1/", "http://h o/", "1://h/", "http://h:x/"] {
      #expect(URLReference(text) == nil, "\(text)")
    }
    let v6 = URLReference("https://[2001:DB8::1]:443")
    #expect(v6?.host == "2001:db8::1" && v6?.authority == "[2001:db8::1]" && v6?.requestTarget == "/")
  }

  // RFC 3986 §5.4, the cases a Location can hold.
  @Test(arguments: [
    ("g", "http://a/b/c/g"), ("./g/", "http://a/b/c/g/"), ("/g", "http://a/g"), ("//g", "http://g/"), ("?y", "http://a/b/c/d;p?y"),
    ("g?y#s", "http://a/b/c/g?y"), ("..", "http://a/b/"), ("../../../g", "http://a/g"), ("https://x/y", "https://x/y"),
    (".", "http://a/b/c/"),
  ])
  func `references resolve`(reference: String, expected: String) {
    #expect(URLReference("http://a/b/c/d;p?q")?.resolving(reference)?.serialized == expected)
  }

  @Test func `percent coding round-trips`() {
    let text = "a/b?c&d=e+f %ä\u{0}"
    #expect(PercentCoding.decode(PercentCoding.encodeSegment(text)) == text)
    #expect(PercentCoding.decodeQuery(PercentCoding.encodeQuery(text)) == text)
    let items = QueryItems([.init(name: "a&", value: "b=c"), .init(name: "x", value: "")])
    #expect(QueryItems(parsing: items.encoded) == items)
    #expect(PercentCoding.decodeQuery("100%+sure") == "100% sure")
  }

  // RFC 3986 §3.2.2. Found by fuzzing: `[]` was a host, and the URL written from it was none.
  @Test func `brackets hold an IPv6 address and nothing else`() {
    for good in ["[::1]", "[2001:db8::1]:80", "[::ffff:192.0.2.1]"] { #expect(HTTPTarget.isAuthority(good)) }
    for bad in ["[]", "[]:80", "[abc]", "[1.2.3.4]", "[::1", "[::1]x", "[:::]"] { #expect(!HTTPTarget.isAuthority(bad), "\(bad)") }
    #expect(URLReference("http://[]/") == nil)
  }
}
