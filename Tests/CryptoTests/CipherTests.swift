import MartletCrypto
import MartletPrimitives
import Testing

@Suite struct CipherTests {
  private func hex(_ digits: String) -> [UInt8] { Hex.decode(digits) ?? [] }

  // The GCM specification's test case 4.
  @Test func `AES-GCM seals with associated data, and opens in place`() {
    let key = hex("feffe9928665731c6d6a8f9467308308")
    let nonce = AESGCM.Nonce(high: 0xCAFE_BABE_FACE_DBAD, low: 0xDECA_F888)
    let header = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    let plain = hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
    let sealed = hex(
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc"
        + "3221a5db94fae95ae7121a47")
    var bytes = plain + [UInt8](repeating: 0, count: AESGCM.tagBytes)
    let (sealer, opener) = (AESGCM(.sealing, key: key), AESGCM(.opening, key: key))
    header.withUnsafeBytes { header in
      bytes.withUnsafeMutableBytes {
        sealer.seal(UnsafeRawBufferPointer(rebasing: $0[..<plain.count]), nonce: nonce, authenticating: header, into: $0)
      }
      #expect(bytes == sealed)
      let isGenuine = bytes.withUnsafeMutableBytes {
        opener.open(UnsafeRawBufferPointer($0), nonce: nonce, authenticating: header, into: $0)
      }
      #expect(isGenuine && Array(bytes.prefix(plain.count)) == plain)
      bytes = sealed
      bytes[0] ^= 1
      let isForged = bytes.withUnsafeMutableBytes {
        !opener.open(UnsafeRawBufferPointer($0), nonce: nonce, authenticating: header, into: $0)
      }
      #expect(isForged)
    }
  }

  @Test func `what is shorter than a tag does not open`() {
    let opener = AESGCM(.opening, key: [UInt8](repeating: 1, count: 32))
    var bytes = [UInt8](repeating: 0, count: 15)
    let opens = bytes.withUnsafeMutableBytes {
      opener.open(
        UnsafeRawBufferPointer($0), nonce: .init(high: 0, low: 0), authenticating: UnsafeRawBufferPointer(start: nil, count: 0), into: $0)
    }
    #expect(!opens)
  }

  // NIST SP 800-38A F.5.1.
  @Test func `AES-CTR combines with the key stream`() {
    let cipher = AESCTR(key: hex("2b7e151628aed2a6abf7158809cf4f3c"))
    var bytes = hex("6bc1bee22e409f96e93d7e117393172a")
    bytes.withUnsafeMutableBytes {
      cipher.apply(.init(high: 0xF0F1_F2F3_F4F5_F6F7, low: 0xF8F9_FAFB_FCFD_FEFF), to: UnsafeRawBufferPointer($0), into: $0)
    }
    #expect(bytes == hex("874d6191b620e3261bef6864990db6ce"))
  }

  // RFC 2202 §3, test case 2; the word is a part of the message.
  @Test func `HMAC-SHA-1 keeps its key, truncates and verifies`() {
    let code = HMACSHA1(key: Array("Jefe".utf8))
    let message = Array("what do ya want for nothing?".utf8)
    let expected = hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
    for _ in 0..<2 {
      var output = [UInt8](repeating: 0, count: 20)
      message.withUnsafeBytes { message in output.withUnsafeMutableBytes { code.authenticate(message, into: $0) } }
      #expect(output == expected)
    }
    var short = [UInt8](repeating: 0, count: 10)
    // "ing?"
    message.dropLast(4).withUnsafeBytes { message in
      short.withUnsafeMutableBytes { code.authenticate(message, then: 0x696E_673F, into: $0) }
    }
    #expect(short == Array(expected.prefix(10)))
    func verifies(_ tag: [UInt8]) -> Bool {
      message.withUnsafeBytes { message in tag.withUnsafeBytes { code.verify(message, against: $0) } }
    }
    #expect(verifies(expected) && verifies(short))
    #expect(!verifies(short.dropLast() + [0]) && !verifies([]) && !verifies(expected + [0]))
  }
}
