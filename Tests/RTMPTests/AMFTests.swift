import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

@Suite struct AMF0Tests {
  static let everything: [AMFValue] = [
    .number(-2.5), .boolean(true), .string("né"), .string(String(repeating: "x", count: 65_535)), .null, .undefined,
    .object(["a": 1, "b": .object(["c": "d"])]), .ecmaArray([AMFProperty("duration", 0), AMFProperty("encoder", "obs")]),
    .strictArray([1, "two", .null]), .date(milliseconds: 1e12, timeZone: 0), .xml("<a/>"), .typedObject(name: "T", [AMFProperty("x", 1)]),
  ]

  // AMF0 §2.
  @Test func `every type comes back as it was written`() throws {
    #expect(try AMF0.decode(AMF0.encode(Self.everything).span.bytes) == Self.everything)
  }

  // RTMP 1.0 §7.2.1.1; the bytes as librtmp writes them.
  @Test func `a connect command on the wire`() throws {
    let wire = try #require(Hex.decode("020007636f6e6e656374003ff00000000000000300036170700200046c697665000009"))
    let values = try AMF0.decode(wire.span.bytes)
    #expect(values == ["connect", 1, .object(["app": "live"])])
    #expect(values[2]["app"]?.string == "live" && values[2]["tcUrl"] == nil)
    #expect(Hex.encode(AMF0.encode(values)) == "020007636f6e6e656374003ff00000000000000300036170700200046c697665000009")
  }

  // AMF0 §2.14.
  @Test func `a string above 65,535 bytes is written as a long one`() throws {
    var limits = AMFLimits()
    limits.stringBytes = 100_000
    let text = AMFValue.string(String(repeating: "y", count: 70_000))
    let bytes = AMF0.encode([text])
    #expect(bytes.first == 0x0C)
    #expect(try AMF0.decode(bytes.span.bytes, limits: limits) == [text])
    #expect(throws: ParseError.limit("the length of an AMF string", maximum: 65_536)) { try AMF0.decode(bytes.span.bytes) }
  }

  // AMF0 §2.9.
  @Test func `a reference repeats an earlier object`() throws {
    // {a: {}}, reference to object 1 (the inner one)
    let bytes: [UInt8] = [3, 0, 1, 0x61, 3, 0, 0, 9, 0, 0, 9, 7, 0, 1]
    #expect(try AMF0.decode(bytes.span.bytes) == [.object(["a": .object([])]), .object([])])
  }

  @Test func `an object that contains itself is refused`() {
    let bytes: [UInt8] = [3, 0, 1, 0x61, 7, 0, 0, 0, 0, 9]
    #expect(throws: ParseError.invalid("an AMF0 object that contains itself", at: 4)) { try AMF0.decode(bytes.span.bytes) }
  }

  @Test func `references that double a value twenty times hit the limit on elements`() {
    // Each array holds the one before it twice.
    var bytes: [UInt8] = [0x0A, 0, 0, 0, 0]
    for index in 0..<20 { bytes += [0x0A, 0, 0, 0, 2, 7, 0, UInt8(index), 7, 0, UInt8(index)] }
    #expect(throws: ParseError.limit("the number of AMF values", maximum: 4096)) { try AMF0.decode(bytes.span.bytes) }
  }

  @Test(arguments: [[0x03, 0, 1, 0x61], [0x0A, 0, 0, 0, 1], [0x08, 0, 0, 0, 1, 0, 1, 0x61]] as [[UInt8]])
  func `nesting 5,000 deep is an error, not a stack overflow`(level: [UInt8]) {
    let bytes = Array(repeatElement(level, count: 5000).joined())
    #expect(throws: ParseError.limit("AMF nesting", maximum: 32)) { try AMF0.decode(bytes.span.bytes) }
  }

  @Test func `an array that claims four billion elements commits nothing`() {
    let bytes: [UInt8] = [0x0A, 0xFF, 0xFF, 0xFF, 0xFF]
    #expect(throws: ParseError.limit("the length of an AMF array", maximum: 4096)) { try AMF0.decode(bytes.span.bytes) }
  }

  @Test func `a message above the total limit is not even begun`() {
    let bytes = [UInt8](repeating: 5, count: (1 << 20) + 1)
    #expect(throws: ParseError.limit("the size of an AMF message", maximum: 1 << 20)) { try AMF0.decode(bytes.span.bytes) }
  }

  @Test func `text that is not UTF-8 is repaired`() throws {
    let bytes: [UInt8] = [2, 0, 2, 0x61, 0xFF]
    #expect(try AMF0.decode(bytes.span.bytes) == ["a\u{FFFD}"])
  }

  @Test func `cut anywhere, a value is an error`() throws {
    for value in Self.everything where value.string.map({ $0.utf8.count < 100 }) ?? true {
      let bytes = AMF0.encode([value])
      for end in 1..<bytes.count {
        #expect(throws: ParseError.self) { try AMF0.decode(bytes.span.bytes.extracting(0..<end)) }
      }
    }
  }

  @Test(arguments: 0..<20) func `garbage never traps`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for _ in 0..<500 {
      let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in
        Bool.random(using: &random) ? UInt8.random(in: 0...0x12, using: &random) : UInt8.random(in: 0...255, using: &random)
      }
      _ = try? AMF0.decode(bytes.span.bytes)
      _ = try? AMF3.decode(bytes.span.bytes)
    }
  }
}

@Suite struct AMF3Tests {
  @Test func `every type comes back as it was written`() throws {
    let values: [AMFValue] = [
      .undefined, .null, .boolean(true), .boolean(false), 0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, -1,
      -268_435_456, 268_435_456, 2.5, "", "text", .object(["a": 1, "b": .object([])]), .strictArray([1, "x"]),
      .ecmaArray([AMFProperty("k", "v")]), .date(milliseconds: 5, timeZone: 0), .xml("<a/>"), .bytes([1, 2, 3]),
      .typedObject(name: "T", [AMFProperty("x", 1)]), .dictionary([1], ["one"]),
    ]
    #expect(try AMF3.decode(AMF3.encode(values).span.bytes) == values)
  }

  // AMF3 §1.3.1, table of U29 forms.
  @Test(arguments: [
    (127, "047f"), (128, "048100"), (16_383, "04ff7f"), (16_384, "04818000"), (2_097_152, "0480c08000"), (-1, "04ffffffff"),
  ])
  func `integers take one to four bytes`(value: Int, wire: String) {
    #expect(Hex.encode(AMF3.encode([.number(Double(value))])) == wire)
  }

  // AMF3 §3.8, §3.12: string, traits and object references.
  @Test func `references to strings, traits and objects are resolved`() throws {
    let bytes: [UInt8] = [
      0x09, 0x07, 0x01,  // an array of three
      0x0A, 0x13, 0x03, 0x54, 0x03, 0x78, 0x04, 0x01,  // T {x: 1}, one sealed member
      0x0A, 0x01, 0x06, 0x02,  // the same traits, x: string 1 ("x")
      0x0A, 0x02,  // object 1: the first T
    ]
    let first = AMFValue.typedObject(name: "T", [AMFProperty("x", 1)])
    let second = AMFValue.typedObject(name: "T", [AMFProperty("x", "x")])
    #expect(try AMF3.decode(bytes.span.bytes) == [.strictArray([first, second, first])])
  }

  @Test func `vectors are read as arrays`() throws {
    let bytes: [UInt8] = [0x0D, 0x05, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2]
    #expect(try AMF3.decode(bytes.span.bytes) == [.strictArray([-1, 2])])
  }

  @Test func `5,000 arrays within each other are an error`() {
    let bytes = Array(repeatElement([0x09, 0x03, 0x01] as [UInt8], count: 5000).joined())
    #expect(throws: ParseError.limit("AMF nesting", maximum: 32)) { try AMF3.decode(bytes.span.bytes) }
  }

  @Test func `depth is counted through the switch from AMF0`() {
    let levels = Array(repeatElement([0x0A, 0, 0, 0, 1] as [UInt8], count: 20).joined())
    let bytes = levels + [0x11] + Array(repeatElement([0x09, 0x03, 0x01] as [UInt8], count: 20).joined())
    #expect(throws: ParseError.limit("AMF nesting", maximum: 32)) { try AMF0.decode(bytes.span.bytes) }
  }

  @Test func `a vector that claims 2^28 doubles commits nothing`() {
    let bytes: [UInt8] = [0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0x00]
    #expect(throws: ParseError.limit("the number of AMF values", maximum: 4096)) { try AMF3.decode(bytes.span.bytes) }
  }

  // AMF0 §3.1.
  @Test func `the avmplus marker switches to AMF3 for one value`() throws {
    let bytes: [UInt8] = [0x11, 0x0A, 0x0B, 0x01, 0x03, 0x61, 0x04, 0x05, 0x01, 0x05]
    #expect(try AMF0.decode(bytes.span.bytes) == [.object(["a": 5]), .null])
  }

  @Test func `cut anywhere, a value is an error`() {
    let bytes = AMF3.encode([.object(["a": .strictArray([1, 2.5, "text", .bytes([1, 2])])])])
    for end in 1..<bytes.count { #expect(throws: ParseError.self) { try AMF3.decode(bytes.span.bytes.extracting(0..<end)) } }
  }
}
