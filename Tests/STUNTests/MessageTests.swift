import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 8489 §5, §6, §14.
@Suite struct MessageTests {
  private let id = TransactionID(high: 1, low: 2)
  private let v4 = SocketAddress(ip: .v4(0xC000_0201), port: 65_535)
  private let v6 = SocketAddress(ip: .v6(high: 0x2001_0DB8_0000_0000, low: 7), port: 1)

  private func parse(_ bytes: [UInt8], _ limits: STUNLimits = STUNLimits()) throws(STUNError) -> ReceivedSTUNMessage {
    try ReceivedSTUNMessage(parsing: bytes.span.bytes, limits: limits)
  }

  private var everyAttribute: [STUNAttribute] {
    [
      .mappedAddress(v4), .xorMappedAddress(v6), .username("a:b"), .userhash(Slice([UInt8](repeating: 9, count: 32))), .realm("r"),
      .nonce("n"), .passwordAlgorithm(.sha256), .passwordAlgorithms([.md5, PasswordAlgorithm(number: 9, parameters: [1, 2, 3])]),
      .errorCode(STUNErrorCode(487, "Role Conflict")), .unknownAttributes([1, 2, 3]), .software("s"), .alternateServer(v6),
      .alternateDomain("example.org"), .priority(5), .useCandidate, .iceControlled(tieBreaker: .max), .iceControlling(tieBreaker: 1),
      .channelNumber(0x4001), .lifetime(600), .xorPeerAddress(v4), .xorRelayedAddress(v6), .data([1, 2, 3, 4, 5]),
      .requestedAddressFamily(.v6), .additionalAddressFamily(.v6), .addressErrorCode(.v6, STUNErrorCode(440)),
      .evenPort(reserveNext: true), .requestedTransport(17), .dontFragment, .reservationToken(77), .icmp(type: 3, code: 4, data: 1500),
      .connectionID(3), .changeRequest(ip: true, port: false), .padding(7), .responsePort(9), .responseOrigin(v4), .otherAddress(v4),
      .unknown(type: 0x7777, [1]), .unknown(type: 0xC057, []),
    ]
  }

  @Test(arguments: [STUNClass.request, .indication, .success, .error], [.binding, .connectionAttempt, STUNMethod(rawValue: 0xFFF)])
  func `every attribute, class and method comes back as it was written`(kind: STUNClass, method: STUNMethod) throws {
    let message = STUNMessage(kind, method, id, everyAttribute)
    var limits = STUNLimits()
    limits.attributes = 64
    for key in [nil, STUNKey.shortTerm(password: "p")] {
      for integrity in [STUNIntegrity.sha1, .sha256] {
        let bytes = message.encoded(key: key, integrity: integrity)
        let received = try parse(bytes, limits)
        #expect(received.message == message && received.hasIntegrity == (key != nil))
        if let key { #expect(received.isAuthentic(bytes, key) && received.integrity == integrity) }
      }
    }
  }

  // RFC 8489 §6.3.1.
  @Test func `unknown attributes are kept, and those that must be understood are named`() throws {
    let message = STUNMessage(
      .request, .binding, id, [.unknown(type: 0x7777, [1]), .unknown(type: 0x8888, [2]), .unknown(type: 0x0010, [])])
    let received = try parse(message.encoded())
    #expect(received.message.unknownRequired == [0x7777, 0x0010])
  }

  // RFC 8489 §14.5, §14.6: else anybody could add to a message that is authentic.
  @Test func `what stands behind an integrity attribute is ignored, but for the stronger one and FINGERPRINT`() throws {
    let key = STUNKey.shortTerm(password: "p")
    let inner = STUNMessage(.request, .binding, id, [.priority(1)]).encoded(key: key, fingerprint: false)
    func lengthened(_ bytes: [UInt8], by more: Int) -> [UInt8] {
      var bytes = bytes
      let length = bytes.count - 20 + more
      (bytes[2], bytes[3]) = (UInt8(length >> 8), UInt8(length & 255))
      return bytes
    }
    let useCandidate: [UInt8] = [0, 0x25, 0, 0]
    let received = try parse(lengthened(inner, by: 4) + useCandidate)
    #expect(received.message.attributes == [.priority(1)])
    let whole = lengthened(inner, by: 4) + useCandidate
    #expect(received.isAuthentic(whole, key))
    // A second, weaker MESSAGE-INTEGRITY behind the stronger one does not count either.
    let strong = STUNMessage(.request, .binding, id).encoded(key: key, integrity: .sha256, fingerprint: false)
    let both = lengthened(strong, by: 24) + [0, 8, 0, 20] + [UInt8](repeating: 0, count: 20)
    #expect(try parse(both).integrity == .sha256)
  }

  // RFC 8489 §14: the first of a repeated attribute counts.
  @Test func `of a repeated attribute the first counts`() throws {
    let received = try parse(STUNMessage(.request, .binding, id, [.username("a:b"), .username("c:d")]).encoded())
    #expect(received.message.username == "a:b")
  }

  @Test func `every limit is checked`() throws {
    let many = STUNMessage(.request, .binding, id, [STUNAttribute](repeating: .useCandidate, count: 33)).encoded(fingerprint: false)
    #expect(throws: STUNError.limit("attributes", value: 33, maximum: 32)) { try parse(many) }
    let large = STUNMessage(.request, .binding, id, [.padding(100)]).encoded(fingerprint: false)
    #expect(throws: STUNError.limit("bytes of a STUN message", value: 124, maximum: 100)) {
      try parse(large, STUNLimits(messageBytes: 100))
    }
    let name = String(repeating: "a", count: 509)
    let long = STUNMessage(.request, .binding, id, [.username(name)]).encoded()
    #expect(throws: STUNError.malformedAttribute(.username, .limit("bytes of USERNAME", maximum: 508))) { try parse(long) }
  }

  @Test func `no prefix of a message is a message, and none traps`() throws {
    let whole = STUNMessage(.request, .binding, id, Array(everyAttribute.prefix(20))).encoded(key: .shortTerm(password: "p"))
    for count in 0..<whole.count {
      let cut = Array(whole[..<count])
      #expect(throws: STUNError.self) { try parse(cut) }
      #expect(!STUN.isMessage(cut) && STUN.username(in: cut) == nil)
      guard count >= 20 else { continue }
      // With a header that fits, attributes are cut instead.
      var fitting = cut
      (fitting[2], fitting[3]) = (UInt8((count - 20) >> 8), UInt8((count - 20) & 255))
      _ = try? parse(fitting)
      _ = STUN.username(in: fitting)
    }
  }

  @Test(arguments: seeds(20))
  func `noise behind a good header does not trap`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    for _ in 0..<500 {
      let count = Int.random(in: 0...60, using: &random) * 4
      let noise = (0..<count).map {
        $0 % 4 == 2 ? 0 : $0 % 4 == 0 ? UInt8.random(in: 0...1, using: &random) * 0x80 : UInt8.random(in: 0...44, using: &random)
      }
      let bytes: [UInt8] = [0, 1, UInt8(count >> 8), UInt8(count & 255), 0x21, 0x12, 0xA4, 0x42] + [UInt8](repeating: 1, count: 12) + noise
      guard let received = try? parse(bytes) else { continue }
      let again = received.message.encoded()
      #expect(try parse(again).message == received.message)
    }
  }

  // RFC 7983 §7.
  @Test func `STUN is told from DTLS, RTP and TURN channels by its first bytes`() throws {
    let binding = STUNMessage(.request, .binding, id, [.software("x"), .username("abcd:efgh")]).encoded(key: .shortTerm(password: "p"))
    #expect(STUN.isMessage(binding))
    for first in [20, 63, 64, 79, 128, 191] as [UInt8] {
      let other = [first] + binding.dropFirst()
      #expect(!STUN.isMessage(other))
      #expect(throws: STUNError.self) { try parse(other) }
    }
    let longer = binding + [0, 0, 0, 0]
    #expect(!STUN.isMessage(longer))
    #expect(throws: STUNError.wrongLength(announced: binding.count - 20, actual: binding.count - 16)) { try parse(longer) }
  }

  // RFC 8445 §7.2.2.
  @Test func `the user name of a check is found where it lies`() throws {
    let binding = STUNMessage(.request, .binding, id, [.software("x"), .username("abcd:efgh")]).encoded(key: .shortTerm(password: "p"))
    let whole = try #require(STUN.username(in: binding))
    let local = try #require(STUN.localFragment(in: binding))
    #expect(binding[whole].elementsEqual("abcd:efgh".utf8) && binding[local].elementsEqual("abcd".utf8))
    let without = STUNMessage(.request, .binding, id, [.username("abcd")]).encoded()
    #expect(STUN.localFragment(in: without) == nil)
    #expect(STUN.username(in: STUNMessage(.request, .binding, id).encoded()) == nil)
  }
}

/// RFC 8489 §6.2.
@Suite struct ClientTransactionTests {
  private func times(_ schedule: ClientTransaction.Schedule) throws -> (sent: [Int64], failed: Int64) {
    var transaction = ClientTransaction(schedule, now: .zero)
    var sent: [Int64] = [0]
    while true {
      let now = try #require(transaction.deadline)
      #expect(transaction.timeout(now: now - .milliseconds(1)) == .none)
      switch transaction.timeout(now: now) {
      case .transmit: sent.append(now.nanoseconds / 1_000_000)
      case .failed: return (sent, now.nanoseconds / 1_000_000)
      case .none: Issue.record("nothing happened at the deadline")
      }
    }
  }

  // §6.2.1, §6.2.2.
  @Test func `seven requests over UDP and one over TCP, and failure at 39.5 s`() throws {
    let datagram = try times(.datagram)
    #expect(datagram == ([0, 500, 1500, 3500, 7500, 15_500, 31_500], 39_500))
    let stream = try times(.stream)
    #expect(stream == ([0], 39_500))
    let capped = try times(.init(initial: .milliseconds(500), requests: 4, lastWait: 2, longest: .milliseconds(600)))
    #expect(capped == ([0, 500, 1100, 1700], 2700))
  }

  // RFC 8445 §7.3.1.4.
  @Test func `a cancelled transaction sends no more and still ends`() {
    var transaction = ClientTransaction(.datagram, now: .zero)
    transaction.cancelRetransmissions(now: .zero + .milliseconds(100))
    #expect(transaction.deadline == .zero + .milliseconds(8100))
    #expect(transaction.timeout(now: .zero + .milliseconds(8100)) == .failed && transaction.deadline == nil && transaction.requests == 1)
    var answered = ClientTransaction(.datagram, now: .zero)
    answered.finish()
    #expect(answered.deadline == nil && answered.timeout(now: .distantFuture) == .none)
  }
}
