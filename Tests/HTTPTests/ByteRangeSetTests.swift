import MartletCrypto
import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

@Suite struct ByteRangeSetTests {
  @Test func `ranges that touch or overlap become one`() {
    var set = ByteRangeSet()
    for range in [10..<20, 30..<40, 20..<25, 0..<5, 24..<31] { set.insert(range) }
    #expect(set.ranges == [0..<5, 10..<40] && set.contiguous == 5 && set.count == 35 && set.end == 40)
    set.insert(5..<10)
    #expect(set.ranges == [0..<40] && set.isComplete(40) && !set.isComplete(41))
    set.remove(10..<12)
    #expect(set.ranges == [0..<10, 12..<40])
    set.insert(3..<3)
    set.remove(3..<3)
    #expect(set.description == "0-9,12-39")
  }

  @Test func `it agrees with a set of bytes, whatever is inserted and removed`() {
    var random = SeededRandom(seed: 3)
    for _ in 0..<200 {
      var set = ByteRangeSet()
      var bytes = Set<Int>()
      for _ in 0..<30 {
        let start = Int.random(in: 0..<100, using: &random)
        let range = start..<start + Int.random(in: 0..<20, using: &random)
        if Bool.random(using: &random) {
          set.insert(range)
          bytes.formUnion(range)
        } else {
          set.remove(range)
          bytes.subtract(range)
        }
        #expect(set.ranges.flatMap { Array($0) } == bytes.sorted())
        #expect(zip(set.ranges, set.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
      }
      #expect(ByteRangeSet(parsing: set.description) == set)
    }
  }

  @Test func `text that is no set`() {
    for text in ["1", "-", "1-", "-1", "2-1", "1-2,", ",", "1-2,x", "1-2-3", "1-9999999999999999999", " 1-2"] {
      #expect(ByteRangeSet(parsing: text) == nil, "\(text)")
    }
    #expect(ByteRangeSet(parsing: "") == ByteRangeSet())
    #expect(ByteRangeSet(parsing: "5-6,0-4")?.ranges == [0..<7])
    #expect(ByteRangeSet(parsing: "0-1,3-4,6-7", maximum: 2) == nil)
  }
}

@Suite struct DigestFieldTests {
  private let hello = Digest.hash(.sha256, Array("hello".utf8))

  // RFC 9530 §2 and §3; the algorithms of §5.
  @Test func `the strongest that is known counts`() throws {
    let (short, long) = (Base64.encode(hello), Base64.encode(Digest.hash(.sha512, Array("hello".utf8))))
    let one = try DigestField.parse("Repr-Digest", in: ["Repr-Digest": "sha-256=:\(short):"])
    #expect(one == DigestField(.sha256, hello) && one?.serialized == "sha-256=:\(short):")
    let two = try DigestField.parse("Repr-Digest", in: ["Repr-Digest": "sha-512=:\(long):, sha-256=:\(short):"])
    #expect(two?.algorithm == .sha512)
    #expect(try DigestField.parse("Repr-Digest", in: ["Repr-Digest": "md5=:AAAA:"]) == nil)
    #expect(try DigestField.parse("Repr-Digest", in: [:]) == nil)
    for bad in ["sha-256", "sha-256=\(short)", "sha-256=:\(short)", "sha-256=:AAAA:", "sha-256=:***:", "=:"] {
      #expect(throws: HTTPError.self) { try DigestField.parse("Repr-Digest", in: ["Repr-Digest": bad]) }
    }
  }

  @Test func `a digest of pieces is that of the whole`() {
    let running = RunningDigest(.sha256)
    for piece in ["he", "", "llo"] { Array(piece.utf8).withUnsafeBytes { running.update($0) } }
    #expect(running.finish() == hello)
  }

  // tus 1.0, Checksum and Creation.
  @Test func `tus has words of its own`() throws {
    #expect(try DigestField.parse(tus: "sha256 \(Base64.encode(hello))") == DigestField(.sha256, hello))
    for bad in ["", "sha256", "crc32 AAAA", "sha1 AAAA", "sha256 \(Base64.encode(hello)) x"] {
      #expect(throws: HTTPError.self) { try DigestField.parse(tus: bad) }
    }
    #expect(try TusMetadata.parse("filename d29ybGQ=,is_confidential") == ["filename": "world", "is_confidential": ""])
    #expect(try TusMetadata.parse("") == [:])
    for bad in ["a b c", ",", "a Zm9v,a Zm9v", "a ***", String(repeating: "x", count: 5000)] {
      #expect(throws: HTTPError.self) { try TusMetadata.parse(bad) }
    }
  }
}
