import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// RFC 7578, RFC 2046 §5.1.
@Suite struct MultipartTests {
  private static let boundary = Array("xYzZY".utf8)
  private static let text =
    "--xYzZY\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--xYzZ\r\n\r\n--xYzZY  \r\n"
    + "Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--xYzZY\r\n\r\nbare\r\n--xYzZY--\r\nepilogue"

  private struct Part: Equatable {
    var fields: HTTPFields
    var content: [UInt8] = []
    var isEnded = false
  }

  private static func read(_ pieces: [[UInt8]], limits: MultipartReader.Limits = .init()) throws(HTTPError) -> [Part] {
    var reader = MultipartReader(boundary: boundary, limits: limits)
    var parts: [Part] = []
    for piece in pieces {
      try reader.receive(Slice(piece))
      while let event = reader.pollEvent() {
        switch event {
        case .part(let fields): parts.append(Part(fields: fields))
        case .data(let data): parts[parts.count - 1].content += data.array
        case .partEnd: parts[parts.count - 1].isEnded = true
        case .end: break
        }
      }
    }
    try reader.finish()
    return parts
  }

  private static var expected: [Part] {
    [
      Part(fields: ["Content-Disposition": "form-data; name=\"a\""], content: Array("one\r\n--xYzZ\r\n".utf8), isEnded: true),
      Part(
        fields: ["Content-Disposition": "form-data; name=\"f\"; filename=\"x.txt\"", "Content-Type": "text/plain"], content: [],
        isEnded: true),
      Part(fields: [:], content: Array("bare".utf8), isEnded: true),
    ]
  }

  @Test func `parts, with empty content, without fields, with what nearly is a delimiter`() throws {
    #expect(try Self.read([Array(Self.text.utf8)]) == Self.expected)
  }

  @Test func `it does not matter where the bytes are cut`() throws {
    let bytes = Array(Self.text.utf8)
    for cut in 0...bytes.count { #expect(try Self.read([Array(bytes[..<cut]), Array(bytes[cut...])]) == Self.expected, "cut at \(cut)") }
    #expect(try Self.read(bytes.map { [$0] }) == Self.expected)
  }

  @Test func `a form that ends early is refused`() throws {
    let bytes = Array(Self.text.utf8)
    let end = bytes.count - "\r\nepilogue".utf8.count
    for count in 0..<end { #expect(throws: HTTPError.self) { try Self.read([Array(bytes[..<count])]) } }
    #expect(try Self.read([Array(bytes[..<end])]) == Self.expected)
  }

  @Test func `limits on parts, fields and what stands before`() {
    var limits = MultipartReader.Limits()
    (limits.parts, limits.fieldBytes, limits.fields, limits.preamble) = (2, 100, 2, 10)
    let refuse = { (text: String) -> Int? in
      do throws(HTTPError) { _ = try Self.read([Array(text.utf8)], limits: limits) } catch { return error.status.code }
      return nil
    }
    #expect(refuse("--xYzZY\r\n\r\n\r\n--xYzZY\r\n\r\n\r\n--xYzZY--") == nil)
    #expect(refuse("--xYzZY\r\n\r\n\r\n--xYzZY\r\n\r\n\r\n--xYzZY\r\n\r\n\r\n--xYzZY--") == 413)
    #expect(refuse("--xYzZY\r\nA: \(String(repeating: "x", count: 100))") == 431)
    #expect(refuse("--xYzZY\r\nA: \(String(repeating: "x", count: 100))\r\n\r\n\r\n--xYzZY--") == 431)
    #expect(refuse("--xYzZY\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n\r\n--xYzZY--") == 400)
    #expect(refuse("preamble\r\n--xYzZY--") == nil)
    #expect(refuse("a long preamble\r\n--xYzZY--") == 400)
    #expect(refuse("--xYzZYZ\r\n\r\n--xYzZY--") == 400)
    #expect(refuse("--xYzZY\r\nno colon\r\n\r\n\r\n--xYzZY--") == 400)
    #expect(refuse("--xYzZY\r\nbad name: 1\r\n\r\n\r\n--xYzZY--") == 400)
  }

  @Test func `garbage is an error or nothing, never more than came`() {
    var random = SeededRandom(seed: 7)
    let alphabet = Array("\r\n-xYzZ:; \"=a\0\u{e9}".utf8)
    for _ in 0..<3000 {
      let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      let whole = Result { try Self.read([Array("--xYzZY\r\n".utf8) + bytes]) }
      let single = Result { try Self.read((Array("--xYzZY\r\n".utf8) + bytes).map { [$0] }) }
      switch (whole, single) {
      case (.success(let a), .success(let b)): #expect(a == b)
      case (.failure, .failure): break
      default: Issue.record("a form that depends on how it is cut: \(bytes)")
      }
    }
  }

  @Test func `the boundary comes from the content type`() throws {
    #expect(try MultipartReader.boundary(of: "multipart/form-data; boundary=abc") == Array("abc".utf8))
    #expect(try MultipartReader.boundary(of: "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"") == Array("a b".utf8))
    #expect(try MultipartReader.boundary(of: "text/plain; boundary=abc") == nil)
    for bad in [
      "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\(String(repeating: "x", count: 71))",
    ] {
      #expect(throws: HTTPError.self) { try MultipartReader.boundary(of: bad) }
    }
  }

  @Test(
    arguments: [
      ("form-data; name=\"a\"; filename=\"x.txt\"", "a", "x.txt"), ("form-data; name=a; filename=x.txt;", "a", "x.txt"),
      ("form-data; name=\"q\"; filename=\"a\\\"b\\c.txt\"", "q", "a\"b\\c.txt"),
      ("attachment; filename=\"EURO.txt\"; filename*=UTF-8''%e2%82%ac.txt", nil, "€.txt"),
      ("form-data; filename*=latin1''%e4; filename=\"ok\"", nil, "ok"), ("form-data", nil, nil),
    ] as [(String, String?, String?)]) func `names of parts`(_ text: String, _ name: String?, _ fileName: String?) throws
  {
    let disposition = try #require(ContentDisposition(parsing: text))
    #expect(disposition.name == name && disposition.fileName == fileName)
  }

  @Test func `malformed dispositions`() {
    for text in ["", ";", "form-data; name", "form-data; name=", "form-data; name=\"x", "form-data name=x", "form-data; =x"] {
      #expect(ContentDisposition(parsing: text) == nil, "\(text)")
    }
  }

  // RFC 6266 §4.3: both forms, and nothing that leaves the field.
  @Test func `a download's name in every alphabet`() throws {
    #expect(ContentDisposition.attachment("a b.txt") == "attachment; filename=\"a b.txt\"")
    let hostile = ContentDisposition.attachment("ü\"\r\n%.txt")
    #expect(hostile == "attachment; filename=\"_____.txt\"; filename*=UTF-8''%C3%BC%22%0D%0A%25.txt")
    #expect(try #require(ContentDisposition(parsing: ContentDisposition.attachment("ü\"%.txt"))).fileName == "ü\"%.txt")
  }
}
