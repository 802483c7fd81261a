import MartletCrypto
import MartletICE
import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// ICE, DTLS and SRTP together, over a network in virtual time.
@Suite struct PeerTransportTests {
  private static let identities = (0..<2).compactMap { _ in try? DTLSIdentity(now: WallTime(milliseconds: 1_800_000_000_000)) }

  private final class End {
    let transport: PeerTransport
    let identity: DTLSIdentity
    let base: ICEBase
    var packets: [[UInt8]] = []
    var control: [[UInt8]] = []
    var records: [[UInt8]] = []
    var states: [PeerTransport.State] = []

    init(_ configuration: ICEConfiguration, _ index: Int, seed: UInt64) throws {
      identity = PeerTransportTests.identities[index]
      base = ICEBase(socket: 0, address: SocketAddress(ip: .v4(0xC0A8_0001 + UInt32(index)), port: 5000))
      transport = PeerTransport(configuration, identity: identity, random: RandomSource(seed: seed &* 2 &+ UInt64(index)))
      transport.addLocal(.host, base.address, base: base, now: .zero)
    }

    func receive(_ datagram: VirtualNetwork.Datagram, now: Instant) {
      var bytes = datagram.bytes
      bytes.withUnsafeMutableBytes { buffer in
        switch transport.receive(buffer, from: datagram.from, on: base, now: now) {
        case .rtp(let count): packets.append(Array(buffer.prefix(count)))
        case .rtcp(let count): control.append(Array(buffer.prefix(count)))
        case .records:
          let batch = transport.records
          for index in 0..<batch.count { records.append(Array(copying: batch[index])) }
          transport.records.removeAll()
        case .nothing: break
        }
      }
    }

    func drain(into network: inout VirtualNetwork, now: Instant) {
      while let transmit = transport.pollTransmit() {
        network.send(.init(from: transmit.base.address, to: transmit.to, bytes: transmit.bytes), now: now)
      }
      var batch = DatagramBatch()
      if let path = transport.takeRecords(into: &batch) {
        for index in 0..<batch.count {
          network.send(.init(from: path.base.address, to: path.remote, bytes: Array(copying: batch[index])), now: now)
        }
      }
      if let (path, datagrams) = transport.farewell {
        for index in 0..<datagrams.count {
          network.send(.init(from: path.base.address, to: path.remote, bytes: Array(copying: datagrams[index])), now: now)
        }
      }
      while let event = transport.pollEvent() { if case .stateChanged(let state) = event { states.append(state) } }
    }

    /// - Returns: the datagram, encrypted.
    func protect(sequence: UInt16, _ payload: [UInt8]) throws -> [UInt8] {
      let header: [UInt8] = [0x80, 96, UInt8(sequence >> 8), UInt8(truncatingIfNeeded: sequence), 0, 0, 0, 1, 0, 0, 0, 9]
      var room = [UInt8](repeating: 0, count: header.count + payload.count + transport.rtpOverhead)
      let count = room.withUnsafeMutableBytes { transport.protect(header: header.span.bytes, payload: payload.span.bytes, into: $0) }
      return Array(room.prefix(try #require(count)))
    }
  }

  private final class Call {
    let left: End, right: End
    var network: VirtualNetwork
    var now = Instant.zero

    /// - Parameter isLite: the right end is a server.
    init(_ network: VirtualNetwork, seed: UInt64 = 1, isLite: Bool = true, foreign: Bool = false) throws {
      OpenSSLClock.set(.zero)
      var (browser, server) = (ICEConfiguration(), ICEConfiguration())
      browser.role = .controlling
      server.isLite = isLite
      self.network = network
      left = try End(browser, 0, seed: seed)
      right = try End(server, 1, seed: seed)
      // The signalling. With `foreign` the left end was told of another certificate than the right one has.
      let expected = (foreign ? left : right).identity.fingerprint
      try left.transport.connect(
        to: right.transport.localCredentials, isLite: isLite, fingerprints: [expected], role: .client, now: now)
      try right.transport.connect(
        to: left.transport.localCredentials, isLite: false, fingerprints: [left.identity.fingerprint], role: .server, now: now)
      for candidate in right.transport.localCandidates { try left.transport.addRemote(candidate, now: now) }
      for candidate in left.transport.localCandidates { try right.transport.addRemote(candidate, now: now) }
    }

    deinit { OpenSSLClock.release() }

    @discardableResult func run(seconds: Int, until isDone: () -> Bool = { false }) -> Bool {
      let end = now + .seconds(seconds)
      while true {
        for side in [left, right] { side.drain(into: &network, now: now) }
        if isDone() { return true }
        let deadlines = [left, right].map { $0.transport.deadline(now: now) } + [network.deadline]
        let next = deadlines.compactMap(\.self).min() ?? end
        guard next < end else { break }
        now = max(now + .microseconds(1), next)
        OpenSSLClock.set(now)
        while let datagram = network.receive(now: now) { (datagram.to == left.base.address ? left : right).receive(datagram, now: now) }
        for side in [left, right] { side.transport.timeout(now: now) }
      }
      now = end
      return isDone()
    }

    var isConnected: Bool { left.transport.state == .connected && right.transport.state == .connected }
  }

  @Test(arguments: seeds(20))
  func `a fifth of all datagrams may be lost, doubled or late: both ends connect, with the same cipher`(seed: UInt64) throws {
    let network = VirtualNetwork(seed: seed, loss: 0.2, jitter: .milliseconds(20), reorder: 0.1, duplicate: 0.1)
    let call = try Call(network, seed: seed, isLite: seed.isMultiple(of: 2))
    let isConnected = call.run(seconds: 30) { call.isConnected }
    #expect(isConnected)
    #expect(call.left.transport.srtpProfile == .aeadAES128GCM && call.right.transport.srtpProfile == .aeadAES128GCM)
    #expect(call.left.states == [.connecting, .connected])
  }

  @Test func `media and data arrive as they were sent, and nothing arrives twice`() throws {
    let call = try Call(VirtualNetwork(seed: 3))
    #expect(call.run(seconds: 10) { call.isConnected })
    call.network.duplicate = 1
    for sequence in 0..<50 as Range<UInt16> {
      let bytes = try call.left.protect(sequence: sequence, [UInt8](repeating: UInt8(sequence), count: 900))
      call.network.send(.init(from: call.left.base.address, to: call.right.base.address, bytes: bytes), now: call.now)
    }
    let record: [UInt8] = [1, 2, 3]
    let isSent = call.right.transport.sendRecord(record.span.bytes)
    #expect(isSent)
    call.run(seconds: 1)
    #expect(call.right.packets.map { Array($0.suffix(900)) } == (0..<50).map { [UInt8](repeating: $0, count: 900) })
    #expect(call.right.transport.drops.srtp == 50)
    #expect(call.left.records == [[1, 2, 3]])
  }

  @Test func `another certificate than the description's is nobody`() throws {
    let call = try Call(VirtualNetwork(seed: 4), foreign: true)
    #expect(call.run(seconds: 10) { call.left.transport.state == .failed })
    #expect(call.left.transport.failure?.contains("DTLS") == true)
    #expect(call.left.transport.canSend == false)
  }

  @Test func `DTLS from an address that has passed no check is not answered`() throws {
    let call = try Call(VirtualNetwork(seed: 5))
    let stranger = SocketAddress(ip: .v4(0x0102_0304), port: 4)
    let hello: [UInt8] = [22, 0xfe, 0xfd] + [UInt8](repeating: 0, count: 60)
    call.right.receive(.init(from: stranger, to: call.right.base.address, bytes: hello), now: call.now)
    #expect(call.right.transport.drops.unvalidated == 1)
    #expect(call.right.transport.dtls == nil)
    #expect(call.run(seconds: 10) { call.isConnected })
  }

  @Test func `bytes of any kind leave the session as it is`() throws {
    let call = try Call(VirtualNetwork(seed: 6))
    #expect(call.run(seconds: 10) { call.isConnected })
    var random = SeededRandom(seed: 6)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      call.right.receive(.init(from: call.left.base.address, to: call.right.base.address, bytes: bytes), now: call.now)
    }
    let bytes = try call.left.protect(sequence: 1, [7])
    call.network.send(.init(from: call.left.base.address, to: call.right.base.address, bytes: bytes), now: call.now)
    call.run(seconds: 1)
    #expect(call.isConnected)
    #expect(call.right.packets.last?.last == 7)
    let drops = call.right.transport.drops
    #expect(drops.unknown > 0 && drops.stun > 0 && drops.srtp > 0)
  }

  @Test func `a path that falls silent is told of, is there again, and is given up when consent has ended`() throws {
    let call = try Call(VirtualNetwork(seed: 7))
    #expect(call.run(seconds: 10) { call.isConnected })
    call.network.isUp = false
    #expect(call.run(seconds: 20) { call.left.transport.state == .disconnected })
    call.network.isUp = true
    #expect(call.run(seconds: 20) { call.isConnected })
    call.network.isUp = false
    #expect(call.run(seconds: 60) { call.left.transport.state == .failed && call.right.transport.state == .failed })
    #expect(call.left.transport.failure == "the peer is gone")
  }

  @Test func `a restart finds the path again, and DTLS stays`() throws {
    let call = try Call(VirtualNetwork(seed: 8))
    #expect(call.run(seconds: 10) { call.isConnected })
    let before = call.left.transport.dtls
    let mine = call.left.transport.restartICE(now: call.now)
    let theirs = call.right.transport.restartICE(now: call.now)
    try call.left.transport.reconnect(to: theirs, isLite: true, now: call.now)
    try call.right.transport.reconnect(to: mine, now: call.now)
    for candidate in call.right.transport.localCandidates { try call.left.transport.addRemote(candidate, now: call.now) }
    call.run(seconds: 5)
    #expect(call.isConnected)
    #expect(call.left.transport.dtls === before)
    let bytes = try call.left.protect(sequence: 1, [9])
    call.network.send(.init(from: call.left.base.address, to: call.right.base.address, bytes: bytes), now: call.now)
    call.run(seconds: 1)
    #expect(call.right.packets.last?.last == 9)
  }

  @Test func `the end is told to the other side`() throws {
    let call = try Call(VirtualNetwork(seed: 9))
    #expect(call.run(seconds: 10) { call.isConnected })
    call.right.transport.close(now: call.now)
    #expect(call.run(seconds: 2) { call.left.transport.state == .closed })
    #expect(call.left.transport.failure == "closed by the peer")
  }
}
