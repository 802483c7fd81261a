import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 8489 §9.2.
@Suite struct TURNNoncesTests {
  private let nonces = TURNNonces(key: Array(repeating: 7, count: 32), lifetime: .seconds(600))
  private let client = SocketAddress(ip: .v4(0xC000_0201), port: 7000)
  private let start = Instant.zero + .seconds(1000)

  private func verify(_ nonce: [UInt8], from: SocketAddress? = nil, after seconds: Int = 0) -> TURNNonces.Verdict {
    nonces.verify(nonce.span.bytes, from: from ?? client, now: start + .seconds(seconds))
  }

  @Test func `a nonce is valid for its client until it is too old`() {
    let nonce = nonces.issue(to: client, now: start)
    #expect(nonce.count == TURNNonces.byteCount)
    #expect(verify(nonce) == .valid && verify(nonce, after: 600) == .valid)
    #expect(verify(nonce, after: 601) == .stale && verify(nonce, after: 100_000) == .stale)
    #expect(verify(nonce, after: -1) == .stale, "one of the future is not new")
  }

  @Test func `a nonce of another client, of another key or of nobody is forged`() {
    let nonce = nonces.issue(to: client, now: start)
    #expect(verify(nonce, from: SocketAddress(ip: client.ip, port: 7001)) == .forged)
    #expect(verify(nonce, from: SocketAddress(ip: .v6(high: 0, low: 0xC000_0201), port: 7000)) == .forged)
    #expect(verify(TURNNonces(key: Array(repeating: 8, count: 32)).issue(to: client, now: start)) == .forged)
    #expect(verify([]) == .forged && verify(Array("nonce".utf8)) == .forged)
  }

  @Test func `no byte of a nonce can be changed or taken away`() {
    let nonce = nonces.issue(to: client, now: start)
    for index in nonce.indices {
      var changed = nonce
      changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(verify(changed) == .forged)
      #expect(verify(Array(nonce.prefix(index))) == .forged)
    }
    #expect(verify(nonce + [65]) == .forged)
  }

  // RFC 8489 §9.2, §18.1: obMatJos2 and 24 bits in base64.
  @Test func `a nonce says which security features the server has`() {
    let text = { (features: TURNNonces.Features) in
      String(decoding: TURNNonces(key: [1], features: features).issue(to: client, now: start), as: UTF8.self)
    }
    #expect(text(.passwordAlgorithms).hasPrefix("obMatJos2AAAB"))
    #expect(text([.passwordAlgorithms, .usernameAnonymity]).hasPrefix("obMatJos2AAAD"))
  }

  @Test func `when features change, the nonces before are stale`() {
    let before = TURNNonces(key: [1], features: [.passwordAlgorithms, .usernameAnonymity]).issue(to: client, now: start)
    #expect(TURNNonces(key: [1]).verify(before.span.bytes, from: client, now: start) == .stale)
  }

  @Test func `a stream's nonce is of an address, whatever the port`() {
    let any = SocketAddress(ip: client.ip, port: 0)
    #expect(verify(nonces.issue(to: any, now: start), from: any) == .valid)
    #expect(verify(nonces.issue(to: any, now: start)) == .forged)
  }

  @Test(arguments: seeds(20)) func `random bytes are no nonce`(seed: UInt64) {
    var random = RandomSource(seed: seed)
    for _ in 0..<200 {
      #expect(verify(random.bytes(Int.random(in: 0...60, using: &random))) == .forged)
      #expect(verify(Array("obMatJos2\(random.text(20))".utf8)) == .forged)
    }
  }
}
