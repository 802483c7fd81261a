import MartletICE
import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// Peers, and those who are none, that mean harm.
@Suite struct HostileTests {
  private let source = SocketAddress.at("192.0.2.66:6666")

  /// An agent, and what somebody who knows some of its secrets can make.
  private final class Target {
    var agent: ICEAgent
    let base: ICEBase
    let theirs = ICECredentials(fragment: "peer", password: "peer-password-22-chars")
    private var count: UInt64 = 0

    init(_ configuration: ICEConfiguration, remote: Bool = true) throws {
      agent = ICEAgent(configuration, random: RandomSource(seed: 7))
      base = ICEBase(socket: 0, address: .at("10.0.0.1:1000"))
      agent.addLocal(.host, base.address, base: base, now: .zero)
      if remote { try agent.setRemote(theirs, now: .zero) }
      drain()
    }

    func check(_ extra: [STUNAttribute] = [], password: String? = nil, fragment: String? = nil, fingerprint: Bool = true) -> [UInt8] {
      count += 1
      let credentials = agent.localCredentials
      let attributes: [STUNAttribute] = [.username("\(fragment ?? credentials.fragment):peer"), .priority(1_845_501_695)] + extra
      return STUNMessage(.request, .binding, TransactionID(high: 5, low: count), attributes)
        .encoded(key: .shortTerm(password: password ?? credentials.password), fingerprint: fingerprint)
    }

    func receive(_ bytes: [UInt8], from source: SocketAddress, now: Instant = .zero) throws(ICEError) {
      try agent.receive(bytes.span.bytes, from: source, on: base, now: now)
    }

    @discardableResult func drain() -> [ICETransmit] {
      var sent: [ICETransmit] = []
      while let transmit = agent.pollTransmit() { sent.append(transmit) }
      while agent.pollEvent() != nil {}
      return sent
    }
  }

  @Test(arguments: [false, true])
  func `nothing is answered and nothing learned that is not authentic`(isLite: Bool) throws {
    let target = try Target(isLite ? .lite : .init())
    let id = TransactionID(high: 0, low: 0)
    let name = "\(target.agent.localCredentials.fragment):peer"
    let cases: [([UInt8], ICEError)] = [
      (target.check(password: "wrong-password-22-char"), .wrongPassword), (target.check(fragment: "else"), .foreignUsername),
      (STUNMessage(.request, .binding, id, [.username(name)]).encoded(), .missingIntegrity),
      (STUNMessage(.request, .binding, id).encoded(key: .shortTerm(password: "x")), .missingIntegrity),
      (STUNMessage(.request, .allocate, id).encoded(), .unexpected(.request, .allocate)),
      (STUNMessage(.success, .binding, id, [.xorMappedAddress(source)]).encoded(), .unknownTransaction),
      ([1, 2, 3], .malformed(.truncated(.truncated(at: 2, needed: 2)))),
    ]
    for (bytes, error) in cases {
      #expect(throws: error) { try target.receive(bytes, from: source) }
    }
    let (drops, pairs, pair) = (target.agent.drops, target.agent.pairs, target.agent.selectedPair)
    #expect(target.drain().isEmpty && pairs.isEmpty && pair == nil)
    #expect(drops.total == 7 && drops.wrongPassword == 1 && drops.missingIntegrity == 2 && drops.malformed == 1)
  }

  @Test func `no message that is cut or changed is answered`() throws {
    let target = try Target(.lite)
    let whole = target.check([.iceControlling(tieBreaker: 1), .useCandidate])
    for count in 0..<whole.count {
      #expect(throws: ICEError.self) { try target.receive(Array(whole[..<count]), from: source) }
    }
    for index in whole.indices.dropLast(8) {
      var changed = whole
      changed[index] ^= 0x55
      #expect(throws: ICEError.self) { try target.receive(changed, from: source) }
    }
    let pair = target.agent.selectedPair
    #expect(target.drain().isEmpty && pair == nil)
    try target.receive(whole, from: source)
    #expect(target.agent.selectedPair?.remote == source && target.drain().count == 1)
  }

  // The integrity of a check does not cover where it comes from.
  @Test func `a copy of a check from another address moves nothing`() throws {
    let target = try Target(.lite)
    let check = target.check([.iceControlling(tieBreaker: 1), .useCandidate])
    try target.receive(check, from: source)
    try target.receive(check, from: source)
    #expect(target.drain().count == 2)
    let victim = SocketAddress.at("198.51.100.1:53")
    #expect(throws: ICEError.replayed) { try target.receive(check, from: victim) }
    let (pair, drops) = (target.agent.selectedPair, target.agent.drops)
    #expect(pair?.remote == source && target.drain().isEmpty && drops.replayed == 1)
  }

  // RFC 8445 §7.3.1.4: a full agent uses no address that has not answered by itself.
  @Test func `a full agent that is told of an address checks it before it is used`() throws {
    let target = try Target(.init())
    try target.receive(target.check([.iceControlling(tieBreaker: 1), .useCandidate]), from: source)
    var now = Instant.zero
    var toSource = 0
    while let deadline = target.agent.deadline {
      toSource += target.drain().filter { $0.to == source }.count
      now = max(now, deadline)
      target.agent.timeout(now: now)
    }
    let (state, pair) = (target.agent.state, target.agent.selectedPair)
    #expect(state == .failed && pair == nil && toSource == 1 + 12)
  }

  @Test func `an answer is never larger than what it answers`() throws {
    let target = try Target(.lite)
    for bytes in [
      target.check([.iceControlling(tieBreaker: 1)]), target.check([.iceControlled(tieBreaker: 1)]),
      target.check([.unknown(type: 0x7777, [])]),
      target.check([.iceControlling(tieBreaker: 1)], fingerprint: false),
    ] {
      _ = try? target.receive(bytes, from: .at("[2001:db8::1]:1"))
      let answer = try #require(target.drain().first)
      #expect(answer.bytes.count <= bytes.count)
    }
  }

  // RFC 8489 §6.3.1.
  @Test func `an attribute that must be understood and is not is refused with 420`() throws {
    let target = try Target(.lite)
    #expect(throws: ICEError.unknownAttribute(0x7777)) { try target.receive(target.check([.unknown(type: 0x7777, [1])]), from: source) }
    let answer = try #require(target.drain().first)
    let message = try ReceivedSTUNMessage(parsing: answer.bytes.span.bytes).message
    #expect(message.errorCode?.code == 420 && message.attributes.contains(.unknownAttributes([0x7777])))
    #expect(target.agent.pairs.isEmpty)
  }

  @Test func `ten thousand candidates cost no more than the limit`() throws {
    let target = try Target(.controlling)
    var refused = 0
    for index in 0..<10_000 {
      let host = index % 2 == 0 ? "10.1.\(index / 256 % 256).\(index % 256)" : "host-\(index).local"
      do throws(ICEError) {
        try target.agent.addRemote(ICECandidate("candidate:\(index) 1 udp \(index + 1) \(host) 9 typ host"), now: .zero)
      } catch {
        #expect(error == .limit("remote candidates", maximum: 64))
        refused += 1
      }
    }
    let (remotes, pairs) = (target.agent.remoteCandidates.count, target.agent.pairs.count)
    #expect(refused == 10_000 - 64 && remotes == 64 && pairs <= 100)
  }

  @Test func `an authentic peer that checks from ten thousand ports costs no more than the limit`() throws {
    for configuration in [ICEConfiguration.lite, .init()] {
      let target = try Target(configuration)
      for port in 0..<10_000 {
        let bytes = target.check([.iceControlling(tieBreaker: 1), .useCandidate])
        try target.receive(bytes, from: SocketAddress(ip: source.ip, port: UInt16(port + 1)), now: .zero + .milliseconds(port))
        target.drain()
      }
      let (remotes, pairs, trace) = (target.agent.remoteCandidates.count, target.agent.pairs.count, target.agent.trace.count)
      #expect(remotes <= 64 && pairs <= 100 && trace <= 32)
    }
  }

  @Test func `a peer that moves once a minute for days is followed`() throws {
    let target = try Target(.lite)
    var now = Instant.zero
    for port in 1..<5000 {
      now = now + .seconds(20)
      target.agent.timeout(now: now)
      try target.receive(
        target.check([.iceControlling(tieBreaker: 1), .useCandidate]), from: SocketAddress(ip: source.ip, port: UInt16(port)), now: now)
      target.drain()
      #expect(target.agent.selectedPair?.remote.port == UInt16(port))
    }
  }

  @Test func `messages that nobody fetches are dropped`() throws {
    let target = try Target(.lite)
    for _ in 0..<1000 { try target.receive(target.check(), from: source) }
    let (sent, drops) = (target.drain().count, target.agent.drops.transmits)
    #expect(sent == 128 && drops == 872)
  }

  // RFC 8489 §9.1.4: else anybody who can guess could end a check.
  @Test func `an error that nobody vouches for ends no check, but is shown`() throws {
    let target = try Target(.controlling)
    try target.agent.addRemote(ICECandidate("candidate:1 1 udp 5 192.0.2.66 6666 typ host"), now: .zero)
    let check = try #require(target.drain().first)
    let request = try ReceivedSTUNMessage(parsing: check.bytes.span.bytes).message
    let refusal = STUNMessage(.error, .binding, request.transaction, [.errorCode(STUNErrorCode(401))]).encoded()
    #expect(throws: ICEError.missingIntegrity) { try target.receive(refusal, from: source) }
    let pair = target.agent.pairs[0]
    #expect(pair.state == .inProgress && pair.failure == .refused(code: 401))
    let success = STUNMessage(.success, .binding, request.transaction, [.xorMappedAddress(target.base.address)])
      .encoded(key: .shortTerm(password: target.theirs.password))
    try target.receive(success, from: source)
    #expect(target.agent.pairs[0].state == .succeeded && target.agent.pairs[0].failure == nil)
  }

  // RFC 8445 §7.2.5.2.1.
  @Test func `an answer from another address than was asked fails the pair`() throws {
    let target = try Target(.controlling)
    try target.agent.addRemote(ICECandidate("candidate:1 1 udp 5 192.0.2.66 6666 typ host"), now: .zero)
    let check = try #require(target.drain().first)
    let request = try ReceivedSTUNMessage(parsing: check.bytes.span.bytes).message
    let success = STUNMessage(.success, .binding, request.transaction, [.xorMappedAddress(target.base.address)])
      .encoded(key: .shortTerm(password: target.theirs.password))
    try target.receive(success, from: .at("192.0.2.67:6666"))
    #expect(target.agent.pairs[0].failure == .notSymmetric)
  }

  // RFC 8445 §8.1.2: those in front of the nominated pair that were not tried are gone at once.
  @Test func `a pair behind others that were never tried is nominated`() throws {
    let target = try Target(.init())
    try target.receive(target.check([.iceControlling(tieBreaker: 1)]), from: source)
    for port in 1...20 { try target.agent.addRemote(ICECandidate("candidate:1 1 udp 9 192.0.2.9 \(port) typ host"), now: .zero) }
    let check = try #require(target.drain().first { $0.bytes[1] == 1 && $0.bytes[0] == 0 })
    let request = try ReceivedSTUNMessage(parsing: check.bytes.span.bytes).message
    let success = STUNMessage(.success, .binding, request.transaction, [.xorMappedAddress(target.base.address)])
      .encoded(key: .shortTerm(password: target.theirs.password))
    try target.receive(success, from: source)
    try target.receive(target.check([.iceControlling(tieBreaker: 1), .useCandidate]), from: source)
    #expect(target.agent.selectedPair?.remote == source && target.agent.pairs.count == 1)
  }

  @Test func `addresses that are nobody's are not checked`() throws {
    let target = try Target(.controlling)
    for host in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
      try target.agent.addRemote(ICECandidate("candidate:1 1 udp 5 \(host) 9 typ host"), now: .zero)
    }
    #expect(target.agent.pairs.isEmpty)
  }

  @Test(arguments: seeds(20))
  func `noise traps nothing`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let target = try Target(.init())
    let whole = target.check([.iceControlling(tieBreaker: 1), .useCandidate])
    for _ in 0..<500 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      _ = try? target.receive(bytes, from: source)
    }
    #expect(target.agent.drops.total > 400)
  }
}
