import Foundation
import MartletPrimitives
import MartletSTUN
import Testing

/// A file of the Vectors folder: hexadecimal, behind lines that say where it is from.
func vector(_ name: String) throws -> [UInt8] {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors")
  let lines = try String(contentsOf: folder.appendingPathComponent(name + ".hex"), encoding: .utf8).split(separator: "\n")
  return try #require(Hex.decode(lines.filter { !$0.hasPrefix("#") }.joined()))
}

// `#expect` takes no spans.
extension ReceivedSTUNMessage {
  func isAuthentic(_ bytes: [UInt8], _ key: STUNKey) -> Bool { isAuthentic(bytes.span.bytes, key) }
}

extension STUN {
  static func isMessage(_ bytes: [UInt8]) -> Bool { isMessage(bytes.span.bytes) }
  static func username(in bytes: [UInt8]) -> Range<Int>? { username(in: bytes.span.bytes) }
  static func localFragment(in bytes: [UInt8]) -> Range<Int>? { localFragment(in: bytes.span.bytes) }
}

/// The messages of RFC 5769 and RFC 8489 appendix B.
@Suite struct VectorTests {
  private let password = STUNKey.shortTerm(password: "VOkJxbRl1RmTxUk/WvJxBt")
  private let id = TransactionID(high: 0xB7E7_A701, low: 0xBC34_D686_FA87_DFAE)

  private func parse(_ bytes: [UInt8]) throws(STUNError) -> ReceivedSTUNMessage { try ReceivedSTUNMessage(parsing: bytes.span.bytes) }

  // RFC 5769 §2.1.
  @Test func `the sample request is read and authentic`() throws {
    let bytes = try vector("rfc5769-2.1")
    let received = try parse(bytes)
    let expected = STUNMessage(
      .request, .binding, id,
      [
        .software("STUN test client"), .priority(0x6E00_01FF), .iceControlled(tieBreaker: 0x932F_F9B1_5126_3B36), .username("evtj:h6vY"),
      ])
    #expect(received.message == expected && received.hasFingerprint && received.integrity == .sha1)
    #expect(received.isAuthentic(bytes, password))
    #expect(!received.isAuthentic(bytes, .shortTerm(password: "VOkJxbRl1RmTxUk/WvJxBu")))
  }

  // RFC 5769 §2.2, §2.3.
  @Test(arguments: [("rfc5769-2.2", "192.0.2.1:32853"), ("rfc5769-2.3", "[2001:db8:1234:5678:11:2233:4455:6677]:32853")])
  func `the sample responses are read and authentic`(name: String, address: String) throws {
    let bytes = try vector(name)
    let received = try parse(bytes)
    let mapped = try #require(SocketAddress(address))
    #expect(received.message == STUNMessage(.success, .binding, id, [.software("test vector"), .xorMappedAddress(mapped)]))
    #expect(received.hasFingerprint && received.isAuthentic(bytes, password))
  }

  // RFC 5769 §2.4; its padding is zero, as ours is, so it can be written byte for byte.
  @Test func `the sample request with long-term authentication is read, authentic, and written the same`() throws {
    let bytes = try vector("rfc5769-2.4")
    let received = try parse(bytes)
    let name = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}"
    #expect(received.message.attributes == [.username(name), .nonce("f//499k954d6OL34oL9FSTvy64sA"), .realm("example.org")])
    let key = try #require(STUNKey.longTerm(username: name, realm: "example.org", password: "TheMatrIX"))
    #expect(received.isAuthentic(bytes, key) && !received.hasFingerprint)
    #expect(received.message.encoded(key: key, fingerprint: false) == bytes)
  }

  // RFC 8489 B.1 (erratum 6268).
  @Test func `the sample request with SHA-256 is read, authentic, and written the same`() throws {
    let bytes = try vector("rfc8489-b.1")
    let received = try parse(bytes)
    let name = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}"
    let userhash = STUNKey.userhash(username: name, realm: "example.org")
    #expect(
      received.message.attributes == [
        .userhash(Slice(userhash)), .nonce("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"), .realm("example.org"), .passwordAlgorithm(.sha256),
      ])
    let key = try #require(STUNKey.longTerm(username: name, realm: "example.org", password: "TheMatrIX", .sha256))
    #expect(received.integrity == .sha256 && received.isAuthentic(bytes, key))
    #expect(received.message.encoded(key: key, integrity: .sha256, fingerprint: false) == bytes)
  }

  // RFC 8489 §14.5, §14.7.
  @Test func `a message that was changed anywhere is not accepted`() throws {
    for name in ["rfc5769-2.1", "rfc5769-2.2", "rfc5769-2.3"] {
      let bytes = try vector(name)
      // FINGERPRINT itself is not protected, so that changing its type leaves a message without one.
      for index in bytes.indices.dropLast(8) {
        var changed = bytes
        changed[index] ^= 1
        let received = try? parse(changed)
        #expect(received == nil || received?.isAuthentic(changed, password) == false)
      }
    }
  }
}
