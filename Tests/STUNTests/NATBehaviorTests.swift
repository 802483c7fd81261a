import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 5780 §4.
@Suite struct NATBehaviorTests {
  private let primary = SocketAddress(ip: .v4(0xC633_6401), port: 3478)
  private let alternate = SocketAddress(ip: .v4(0xC633_6402), port: 3479)
  private let client = IPAddress.v4(0x0A00_0005)

  private func nat() throws -> SimulatedNAT { SimulatedNAT(try #require(DiscoveryAddresses(primary: primary, alternate: alternate))) }

  /// Runs until it is finished, every `loss`th datagram lost.
  private func discover(through nat: SimulatedNAT, loss: (inout RandomSource) -> Bool = { _ in false }, seed: UInt64 = 1) throws
    -> NATBehavior
  {
    var (nat, now, random) = (nat, Instant.zero, RandomSource(seed: seed))
    let locals = [SocketAddress(ip: client, port: 5000), SocketAddress(ip: client, port: 5001)]
    var discovery = NATBehaviorDiscovery(server: primary, locals: [client], port: 5000, random: RandomSource(seed: seed), now: now)
    while discovery.result == nil {
      while let transmit = discovery.pollTransmit() {
        guard !loss(&random),
          let (source, bytes) = try nat.exchange(
            transmit.bytes, from: locals[transmit.socket == .main ? 0 : 1], to: transmit.to)
        else { continue }
        // An answer to what had been answered is no mistake.
        if !loss(&random) { try? discovery.receive(bytes.span.bytes, from: source, now: now) }
      }
      guard discovery.result == nil else { break }
      now = try #require(discovery.deadline)
      discovery.timeout(now: now)
    }
    #expect(now <= .zero + .seconds(10))
    return try #require(discovery.result)
  }

  @Test(arguments: [NATBehavior.Mapping.endpointIndependent, .addressDependent, .addressAndPortDependent])
  func `each mapping is named, with each filtering, and hairpinning`(mapping: NATBehavior.Mapping) throws {
    for filtering in [NATBehavior.Filtering.endpointIndependent, .addressDependent, .addressAndPortDependent] {
      for hairpins in [false, true] {
        var nat = try nat()
        (nat.mapping, nat.filtering, nat.hairpins) = (mapping, filtering, hairpins)
        let found = try discover(through: nat)
        #expect(found.mapping == mapping && found.filtering == filtering && found.hairpins == hairpins)
        #expect(found.mapped?.ip == nat.outside)
      }
    }
  }

  // RFC 5780 §4.3: the mapped address is the local one.
  @Test func `without a NAT only the filter of a firewall is left to name`() throws {
    var nat = try nat()
    nat.mapping = .direct
    #expect(try discover(through: nat).classicName == "open internet")
    nat.filtering = .addressAndPortDependent
    let found = try discover(through: nat)
    #expect(found.classicName == "firewall without NAT" && found.mapped == SocketAddress(ip: client, port: 5000))
  }

  // RFC 3489 §5.
  @Test func `the classic names are those of mapping and filtering`() throws {
    let mapped = SocketAddress(ip: client, port: 1)
    let name = { NATBehavior(mapped: mapped, mapping: $0, filtering: $1).classicName }
    #expect(name(.endpointIndependent, .endpointIndependent) == "full cone NAT")
    #expect(name(.endpointIndependent, .addressDependent) == "restricted cone NAT")
    #expect(name(.endpointIndependent, .addressAndPortDependent) == "port-restricted cone NAT")
    #expect(name(.endpointIndependent, nil) == "cone NAT" && name(nil, nil) == "NAT" && name(.direct, nil) == "no NAT")
    #expect(name(.addressDependent, .addressDependent) == "symmetric NAT" && name(.addressAndPortDependent, nil) == "symmetric NAT")
  }

  @Test func `a server without a second address tells the outside address and hairpinning alone`() throws {
    var nat = try nat()
    (nat.isPlain, nat.hairpins) = (true, true)
    let found = try discover(through: nat)
    #expect(found.mapped != nil && found.mapping == nil && found.filtering == nil && found.hairpins == true)
  }

  @Test func `a server that answers from where it was asked says nothing about filtering`() throws {
    var nat = try nat()
    (nat.ignoresChange, nat.filtering) = (true, .addressAndPortDependent)
    let found = try discover(through: nat)
    #expect(found.filtering == nil && found.mapping == .endpointIndependent)
  }

  @Test func `no answer at all means that UDP is blocked`() throws {
    let found = try discover(through: nat(), loss: { _ in true })
    #expect(found == NATBehavior() && found.classicName == "UDP is blocked")
  }

  // A question whose every repetition is lost is taken for one without an answer: that is rare.
  @Test func `a lost datagram in ten changes nothing`() throws {
    let seeds = seeds(20)
    let right = try seeds.count { seed in
      var nat = try nat()
      (nat.mapping, nat.filtering, nat.hairpins) = (.addressDependent, .addressDependent, true)
      let found = try discover(through: nat, loss: { Int.random(in: 0..<10, using: &$0) == 0 }, seed: seed)
      return found.mapping == .addressDependent && found.filtering == .addressDependent && found.hairpins == true
    }
    #expect(right * 100 >= seeds.count * 99)
  }

  @Test func `what was not asked for is refused, whole or cut short`() throws {
    var discovery = NATBehaviorDiscovery(server: primary, locals: [client], port: 5000, random: RandomSource(seed: 1), now: .zero)
    let transmit = discovery.pollTransmit()
    let request = try #require(transmit).bytes
    let id = try ReceivedSTUNMessage(parsing: request.span.bytes).message.transaction
    let answer = STUNMessage(.success, .binding, id, [.xorMappedAddress(SocketAddress(ip: client, port: 1)), .otherAddress(alternate)])
      .encoded()
    for count in 0..<answer.count {
      #expect(throws: STUNError.self) { try discovery.receive(Array(answer.prefix(count)).span.bytes, from: primary, now: .zero) }
    }
    #expect(throws: STUNError.unexpected(.request, .binding)) { try discovery.receive(request.span.bytes, from: primary, now: .zero) }
    let stranger = STUNMessage(.success, .binding, TransactionID(high: 0, low: 0)).encoded()
    #expect(throws: STUNError.unknownTransaction) { try discovery.receive(stranger.span.bytes, from: primary, now: .zero) }
    try discovery.receive(answer.span.bytes, from: primary, now: .zero)
    #expect(throws: STUNError.unknownTransaction) { try discovery.receive(answer.span.bytes, from: primary, now: .zero) }
  }
}

/// RFC 5780 §6, §7.
@Suite struct DiscoveryAddressesTests {
  private let primary = SocketAddress(ip: .v4(0xC633_6401), port: 3478)
  private let alternate = SocketAddress(ip: .v4(0xC633_6402), port: 3479)
  private let client = SocketAddress(ip: .v4(0x0A00_0005), port: 5000)

  private func reply(_ attributes: [STUNAttribute], at local: SocketAddress) throws -> DiscoveryAddresses.Reply? {
    let addresses = try #require(DiscoveryAddresses(primary: primary, alternate: alternate))
    let request = STUNMessage(.request, .binding, TransactionID(high: 0, low: 0), attributes)
    return try? addresses.reply(to: request, from: client, at: local).get()
  }

  @Test func `an answer comes from where it was asked, or with the address or port changed, and says where else there is`() throws {
    for local in try #require(DiscoveryAddresses(primary: primary, alternate: alternate)).all {
      let other = SocketAddress(
        ip: local.ip == primary.ip ? alternate.ip : primary.ip, port: local.port == primary.port ? alternate.port : primary.port)
      for (ip, port) in [(false, false), (true, false), (false, true), (true, true)] {
        let answer = try #require(try reply([.changeRequest(ip: ip, port: port)], at: local))
        #expect(answer.from == SocketAddress(ip: ip ? other.ip : local.ip, port: port ? other.port : local.port))
        #expect(answer.to == client && answer.attributes == [.responseOrigin(answer.from), .otherAddress(other)])
      }
    }
  }

  @Test func `an answer goes to another port, or is padded as the request was, not both`() throws {
    #expect(try reply([.responsePort(7)], at: primary)?.to == SocketAddress(ip: client.ip, port: 7))
    #expect(try reply([.padding(64)], at: primary)?.attributes.contains(.padding(64)) == true)
    #expect(try reply([.responsePort(7), .padding(64)], at: primary) == nil && reply([.responsePort(0)], at: primary) == nil)
  }

  @Test func `two addresses that share something are none`() {
    #expect(DiscoveryAddresses(primary: primary, alternate: SocketAddress(ip: alternate.ip, port: primary.port)) == nil)
    #expect(DiscoveryAddresses(primary: primary, alternate: SocketAddress(ip: primary.ip, port: alternate.port)) == nil)
    #expect(DiscoveryAddresses(primary: primary, alternate: SocketAddress(ip: .v6(high: 1, low: 1), port: 3479)) == nil)
  }
}
