import MartletPrimitives
import TestSupport
import Testing

@Suite struct JSONTests {
  func error(_ text: [UInt8], _ limits: JSONLimits = JSONLimits()) -> ParseError? {
    do {
      _ = try JSON(parsing: text, limits: limits)
      return nil
    } catch { return error }
  }

  static let sample = #" {"a" : [1, -2.5e3, true,false,null,"x\u00e9\ud834\udd1e\n\/"], "b":{"c":{}}, "d":[], "e":9223372036854775808} "#

  @Test func `a document comes out as it went in`() throws {
    let json = try JSON(parsing: Self.sample)
    #expect(json["a"] == [1, -2500.0, true, false, nil, "xé𝄞\n/"] && json["b"]?["c"] == [:] && json["d"]?.arrayValue?.isEmpty == true)
    #expect(json["e"]?.doubleValue == 9223372036854775808 && json["a"]?[1]?.intValue == -2500 && json["a"]?[9] == nil && json["zz"] == nil)
    #expect(try JSON(parsing: json.serialized).serialized == json.serialized)
    #expect(json.objectValue?.members.map(\.name) == ["a", "b", "d", "e"])
  }

  // RFC 8259 §4 leaves it open; we keep the last.
  @Test func `of a name that comes twice the last value counts`() throws {
    #expect(try JSON(parsing: #"{"a":1,"b":2,"a":3}"#).description == #"{"a":3,"b":2}"#)
  }

  // RFC 8259 §2 to §8.
  @Test(arguments: [
    "", " ", "{", "[1,", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "{\"a\" 1}", "{\"a\":}", "01", "-", "-01", "1.", ".5", "1e",
    "1e+", "+1", "0x1",
    "NaN", "Infinity", "-Infinity", "nul", "True", "tru", "1 1", "[]]", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u123g\"", "\"\\ud800\"",
    "\"\\ud800x\"",
    "\"\\ud800\\n\"", "\"\\ud800\\ud800\"", "\"\\udc00\"", "\"a\nb\"", "\"\t\"", "// c\n1", "1e999", "\u{FEFF}1", "[\u{A0}1]",
  ])
  func `text that is not JSON is refused`(text: String) { #expect(error(Array(text.utf8)) != nil) }

  @Test(
    arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0x5C, 0x6E, 0xFF, 0x22], [0xFF]]
      as [[UInt8]])
  func `invalid UTF-8 is refused`(bytes: [UInt8]) { #expect(error(bytes) != nil) }

  @Test func `depth, size and count are limited`() {
    let deep = { (n: Int) in Array((String(repeating: "[", count: n) + String(repeating: "]", count: n)).utf8) }
    #expect(error(deep(64)) == nil && error(deep(65)) == .limit("depth of JSON", maximum: 64))
    #expect(error(Array(String(repeating: "{\"a\":", count: 100_000).utf8)) == .limit("depth of JSON", maximum: 64))
    var limits = JSONLimits()
    limits.bytes = 10
    #expect(error([UInt8](repeating: 0x20, count: 11), limits) == .limit("bytes of JSON", maximum: 10))
    limits = JSONLimits()
    limits.values = 3
    #expect(error(Array("[1,2,3]".utf8), limits) == .limit("JSON values", maximum: 3))
  }

  @Test func `cut off anywhere it throws`() {
    let text = Array(Self.sample.utf8.dropLast())
    for count in 0..<text.count { #expect(error(Array(text[..<count])) != nil) }
  }

  @Test func `random bytes never trap and what is accepted round-trips`() throws {
    var random = SeededRandom(seed: 4)
    let alphabet = Array(#"{}[]",:\u019aetrufalsn-+.eE 𝄞"#.utf8)
    let sample = Array(Self.sample.utf8)
    for round in 0..<5000 {
      var bytes =
        round % 2 == 0 ? sample : (0..<Int.random(in: 0..<20, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      if round % 2 == 0 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      guard let json = try? JSON(parsing: bytes) else { continue }
      // A double without fraction is written as an integer, so the texts are compared.
      #expect(try JSON(parsing: json.serialized).serialized == json.serialized)
    }
  }

  @Test func `an object of many members is found by name`() throws {
    var object = JSON.Object()
    for n in 0..<1000 { object["k\(n)"] = .int(Int64(n)) }
    object["k5"] = nil
    object["k999"] = "last"
    #expect(object["k5"] == nil && object["k6"] == 6 && object["k999"] == "last" && object.members.count == 999)
  }

  @Test func `the writer needs no tree`() throws {
    var writer = JSONWriter()
    writer.object { json in
      json.member("text", "a\"\\\n\u{1}<\u{2028}é")
      json.member("numbers") { $0.array { for n in [1.0, 0.5, -0.0, .nan, 1e300] { $0.value(n) } } }
      json.member("empty") { $0.object { _ in } }
      json.member("flag", true)
      json.member("count", Int.min)
      json.member("tree", ["x": [nil]])
    }
    let expected =
      #"{"text":"a\"\\\n\u0001\u003c\u2028é","numbers":[1,0.5,-0.0,null,1e+300],"empty":{},"flag":true,"count":-9223372036854775808,"tree":{"x":[null]}}"#
    #expect(writer.text == expected)
    #expect(try JSON(parsing: writer.bytes)["text"] == "a\"\\\n\u{1}<\u{2028}é")
  }
}
