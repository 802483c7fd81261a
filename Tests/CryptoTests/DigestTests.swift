import MartletCrypto
import MartletPrimitives
import Testing

@Suite struct DigestTests {
  // RFC 4231 §4.3, test case 2.
  @Test func `HMAC-SHA-256 of "what do ya want for nothing?"`() {
    let mac = Digest.hmac(.sha256, key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
    #expect(Hex.encode(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  }

  // FIPS 180-4, the empty message.
  @Test func `SHA-256 of nothing`() {
    #expect(Hex.encode(Digest.hash(.sha256, [])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }
}
