import MartletPrimitives
import Testing

@Suite struct ByteReaderTests {
  @Test func `fields come out as they were written`() throws {
    var writer = ByteWriter()
    writer.u8(1)
    writer.u16(0x0203)
    writer.u24(0x040506)
    writer.u32(0x0708_090A)
    writer.u64(1 << 63)
    writer.u32le(7)
    writer.double(-2.5)
    writer.string("né")
    let bytes = writer.bytes
    var reader = ByteReader(bytes.span.bytes)
    let (a, b, c, d) = (try reader.u8(), try reader.u16(), try reader.u24(), try reader.u32())
    #expect(a == 1 && b == 0x0203 && c == 0x040506 && d == 0x0708_090A)
    let (e, f, g, h) = (try reader.u64(), try reader.u32le(), try reader.double(), try reader.string(3))
    #expect(e == 1 << 63 && f == 7 && g == -2.5 && h == "né")
    let atEnd = reader.isAtEnd
    #expect(atEnd)
  }

  @Test func `a field that is cut off says where, and consumes nothing`() {
    let bytes: [UInt8] = [1, 2, 3]
    var reader = ByteReader(bytes.span.bytes)
    do {
      try reader.skip(2)
      _ = try reader.u16()
      Issue.record("two bytes were read where one was left")
    } catch {
      #expect(error == .truncated(at: 2, needed: 2))
    }
    let remaining = reader.remaining
    #expect(remaining == 1)
  }

  @Test func `Exp-Golomb codes of H.264 table 9-2`() throws {
    // 1, 010, 011, 00100, 00101 → 0 1 2 3 4
    let bytes: [UInt8] = [0b1010_0110, 0b0100_0010, 0b1000_0000]
    var reader = BitReader(bytes.span.bytes)
    for expected in 0...4 {
      let value = try reader.ue()
      #expect(value == UInt32(expected))
    }
  }
}

@Suite struct EncodingTests {
  // RFC 4648 §10.
  @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")])
  func `base64 vectors`(plain: String, encoded: String) {
    #expect(Base64.encode(Array(plain.utf8)) == encoded)
    #expect(Base64.decode(encoded) == Array(plain.utf8))
  }

  @Test(arguments: ["A", "Zg=", "Zg==Zg==", "Z!==", "Zm9v="])
  func `base64 that is not`(text: String) { #expect(Base64.decode(text) == nil) }

  @Test func `hexadecimal both ways`() {
    #expect(Hex.decode("00fFa1") == [0, 255, 0xa1])
    #expect(Hex.decode("0") == nil && Hex.decode("zz") == nil)
    #expect(Hex.encode([0, 255, 0xa1]) == "00ffa1")
  }

  @Test func `wall time as RFC 3339`() {
    #expect(WallTime(milliseconds: 0).iso8601 == "1970-01-01T00:00:00.000Z")
    #expect(WallTime(milliseconds: 1_709_210_096_007).iso8601 == "2024-02-29T12:34:56.007Z")
    #expect(WallTime(milliseconds: 1_709_210_096_007).calendarDate.weekday == 4)
  }
}

@Suite struct CollectionTests {
  @Test func `a deque wraps around its storage`() {
    var deque = Deque<Int>()
    for n in 0..<100 {
      deque.append(n)
      if n % 3 == 0 { deque.popFirst() }
    }
    #expect(Array(deque) == Array(34..<100))
  }

  @Test func `a stale slab id finds nothing`() {
    var slab = Slab<String>()
    let first = slab.insert("a")
    slab.remove(first)
    let second = slab.insert("b")
    #expect(slab[first] == nil && slab[second] == "b" && first.slot == second.slot)
  }

  @Test func `a 32-bit clock that wraps goes on`() {
    var clock = Unwrapper(bits: 32)
    #expect(clock.unwrap(0xFFFF_FFF0) == 0xFFFF_FFF0)
    #expect(clock.unwrap(0x10) == 0x1_0000_0010)
    #expect(clock.unwrap(0xFFFF_FFF8) == 0xFFFF_FFF8)
  }
}
