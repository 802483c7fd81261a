import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// Our client, our server and a peer that echoes, over a network that loses, doubles and reorders, in virtual time.
@Suite struct TURNSimulationTests {
  fileprivate static let address = SocketAddress(ip: .v4(0x0606_0606), port: 3478)
  fileprivate static let peer = SocketAddress(ip: .v4(0x0801_0207), port: 7000)

  private final class World {
    var network: VirtualNetwork
    var server: TURNServer
    var client: TURNClient
    let clientAddress = SocketAddress(ip: .v4(0x0808_0801), port: 5000)
    var relays: [TURNRelayID: SocketAddress] = [:]
    var now = Instant.zero + .seconds(1)
    var allocated = false, bound = false, refused = false
    var ended: TURNEnd?
    var echoes = 0
    private let address = TURNSimulationTests.address
    private let peer = TURNSimulationTests.peer

    init(seed: UInt64) {
      network = VirtualNetwork(seed: seed, loss: 0.2, jitter: .milliseconds(20), reorder: 0.1, duplicate: 0.1)
      server = TURNServer(
        TURNServerConfiguration(), credentials: TURNCredentials(realm: "martlet", users: ["ann": "the secret"]), rules: PeerRules(),
        nonces: TURNNonces(key: Array(0..<32)), random: RandomSource(seed: seed))
      client = TURNClient(
        TURNConfiguration(transport: .datagram, username: "ann", password: "the secret"), random: RandomSource(seed: seed + 1))
      client.start(now: now)
    }

    func step(until end: Instant) {
      settle()
      let next = [network.deadline, client.deadline, server.deadline].compactMap(\.self).min() ?? end
      now = min(max(now, next), end)
      while let datagram = network.receive(now: now) { arrive(datagram) }
      client.timeout(now: now)
      server.timeout(now: now)
      settle()
    }

    private func arrive(_ datagram: VirtualNetwork.Datagram) {
      let bytes = datagram.bytes
      switch datagram.to {
      case address: toServer(bytes, datagram.from)
      case clientAddress: try? client.receive(bytes.span.bytes, now: now)
      case peer: network.send(.init(from: peer, to: datagram.from, bytes: bytes), now: now)
      default: toRelay(datagram)
      }
      settle()
    }

    private func toServer(_ bytes: [UInt8], _ from: SocketAddress) {
      let flow = TURNFlow(remote: from, path: 0, isStream: false)
      guard let forward = server.receive(bytes.span.bytes, from: flow, now: now), let relay = relays[forward.relay] else { return }
      network.send(.init(from: relay, to: forward.peer, bytes: Array(bytes[forward.data])), now: now)
    }

    private func toRelay(_ datagram: VirtualNetwork.Datagram) {
      let bytes = datagram.bytes
      guard let id = relays.first(where: { $0.value == datagram.to })?.key,
        let delivery = server.deliver(bytes.count, from: datagram.from, at: id, now: now)
      else { return }
      var message = [UInt8](repeating: 0, count: delivery.size(of: bytes.count))
      bytes.withUnsafeBytes { data in message.withUnsafeMutableBytes { delivery.write(data, into: $0) } }
      network.send(.init(from: address, to: delivery.flow.remote, bytes: message), now: now)
    }

    private func settle() {
      while let output = server.pollOutput() { perform(output) }
      while let bytes = client.pollTransmit() { network.send(.init(from: clientAddress, to: address, bytes: bytes), now: now) }
      while let event = client.pollEvent() {
        switch event {
        case .allocated:
          allocated = true
          client.bindChannel(to: peer, now: now)
        case .channelBound: bound = true
        case .refused: refused = true
        case .data: echoes += 1
        case .ended(let reason): ended = reason
        default: break
        }
      }
    }

    private func perform(_ output: TURNOutput) {
      switch output {
      case .transmit(let bytes, let flow): network.send(.init(from: address, to: flow.remote, bytes: bytes), now: now)
      case .open(let request):
        guard case .port(let port) = request.source else { return }
        let relay = SocketAddress(ip: address.ip, port: port)
        relays[request.id] = relay
        server.relayDidOpen(request.id, at: relay, now: now)
      case .close(let id): relays[id] = nil
      default: break
      }
    }

    func say() {
      var message: [UInt8] = []
      guard client.wrap([1, 2, 3, 4].span.bytes, to: peer, into: &message) else { return }
      network.send(.init(from: clientAddress, to: address, bytes: message), now: now)
    }

    func close() { client.close(now: now) }
    var count: Int { server.allocationCount }
  }

  @Test func `an allocation is made, used for an hour and given back over a network that loses a fifth`() {
    for seed in seeds(20) {
      let world = World(seed: seed)
      let end = world.now + .seconds(3600)
      var next = world.now
      while world.now < end, world.ended == nil {
        world.step(until: min(next, end))
        guard world.now >= next else { continue }
        world.say()
        next = next + .seconds(10)
      }
      // A request that is lost seven times in a row ends an allocation, rightly; a third of all answers is lost here.
      guard world.ended == nil else {
        #expect(world.ended == .noAnswer, "seed \(seed)")
        continue
      }
      #expect(world.allocated && world.count == 1 && world.relays.count == 1, "seed \(seed)")
      // So much for a binding, which is told of.
      #expect(world.bound || world.refused, "seed \(seed)")
      // Four ways, each lost with a fifth, some doubled.
      if !world.refused { #expect((80...330).contains(world.echoes), "seed \(seed): \(world.echoes) of 360") }
      world.close()
      // The release may be lost; then time ends it.
      let later = world.now + .seconds(700)
      while world.now < later { world.step(until: later) }
      #expect(world.count == 0 && world.relays.isEmpty, "seed \(seed)")
    }
  }

  private static func allocation(of server: ServerHarness) throws -> [[UInt8]] {
    _ = try server.allocate()
    _ = try server.ask(.channelBind, [.channelNumber(0x4001), .xorPeerAddress(peer)])
    return [
      STUNMessage(.request, .binding, TransactionID(high: 1, low: 1)).encoded(), server.lastRequest,
      STUNMessage(.indication, .send, TransactionID(high: 1, low: 2), [.xorPeerAddress(peer), .data([1, 2, 3])]).encoded(
        fingerprint: false),
      [0x40, 1, 0, 3, 1, 2, 3],
    ]
  }

  // Hostile input.
  @Test func `what is cut short at any byte, or lies about its length, is relayed nowhere and costs nothing`() throws {
    let server = ServerHarness()
    for message in try Self.allocation(of: server) {
      for count in 0..<message.count {
        #expect(server.send(Array(message[..<count])) == nil, "\(count) bytes of \(message)")
        for lie in [0, 1, 0x7F, 0xFF] as [UInt8] where count != 2 && count != 3 || message[count] != lie {
          var bytes = message
          bytes[count] = lie
          if let forward = server.send(bytes) { #expect(forward.data.upperBound <= bytes.count) }
        }
      }
    }
    #expect(server.count == 1)
  }

  @Test func `a flood of requests with forged nonces makes no allocation, and few answers`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    var random = SeededRandom(seed: 3)
    var answers = 0
    for turn in 0..<2000 {
      server.client = TURNFlow(
        remote: SocketAddress(ip: .v4(0x0909_0909), port: UInt16(1000 + turn)), path: 0, isStream: false)
      server.nonce = "obMatJos2AAAB" + String(UInt64.random(in: .min ... .max, using: &random), radix: 36)
      server.lastBytes = []
      _ = try? server.ask(.allocate, [.requestedTransport(17)])
      if !server.lastBytes.isEmpty { answers += 1 }
    }
    #expect(server.count == 1 && answers == TURNServerConfiguration.Limits().refusalBurst)
  }
}
