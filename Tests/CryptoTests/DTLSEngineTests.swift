import Foundation
import MartletCrypto
import MartletPrimitives
import TestSupport
import Testing

@Suite struct DTLSEngineTests {
  private static let identities = (0..<2).compactMap { _ in try? DTLSIdentity(now: WallTime(milliseconds: 1_800_000_000_000)) }

  /// Two ends over a network, with OpenSSL's clock in the test's hand.
  private final class Pair {
    let client: DTLSEngine, server: DTLSEngine
    var network: VirtualNetwork
    var clock = ManualClock()
    var largest = 0
    var received: [Bool: [[UInt8]]] = [:]
    private let addresses = (SocketAddress(ip: .v4(1), port: 1), SocketAddress(ip: .v4(2), port: 2))

    init(_ network: VirtualNetwork, mtu: Int = 1200, trust: Bool = true) throws {
      self.network = network
      OpenSSLClock.set(.zero)
      let (a, b) = (try #require(DTLSEngineTests.identities.first), try #require(DTLSEngineTests.identities.last))
      client = try DTLSEngine(.client, a, mtu: mtu)
      server = try DTLSEngine(.server, b, mtu: mtu)
      if trust {
        client.expect([b.fingerprint])
        server.expect([a.fingerprint])
      }
    }

    deinit { OpenSSLClock.release() }

    func run(seconds: Int, until done: () -> Bool) {
      let end = clock.now + .seconds(seconds)
      while !done(), clock.now < end {
        send(client, from: addresses.0, to: addresses.1)
        send(server, from: addresses.1, to: addresses.0)
        let next = [client.deadline(now: clock.now), server.deadline(now: clock.now), network.deadline].compactMap(\.self).min() ?? end
        clock.advance(to: min(end, max(next, clock.now + .microseconds(1))))
        OpenSSLClock.set(clock.now)
        while let datagram = network.receive(now: clock.now) {
          let toServer = datagram.to == addresses.1
          var records = DatagramBatch()
          DTLSEngineTests.give(datagram.bytes, to: toServer ? server : client, into: &records)
          for index in 0..<records.count { received[toServer, default: []].append(Array(copying: records[index])) }
        }
        client.timeout()
        server.timeout()
      }
    }

    private func send(_ engine: DTLSEngine, from: SocketAddress, to: SocketAddress) {
      var batch = DatagramBatch()
      engine.takeOutput(into: &batch)
      for index in 0..<batch.count {
        largest = max(largest, batch[index].byteCount)
        network.send(.init(from: from, to: to, bytes: Array(copying: batch[index])), now: clock.now)
      }
    }
  }

  private static func give(_ bytes: [UInt8], to engine: DTLSEngine, into records: inout DatagramBatch) {
    engine.receive(bytes.span.bytes, into: &records)
  }

  // RFC 6347 §4.2.4, RFC 5764 §4.2, RFC 7714 §14.2.
  @Test(arguments: seeds(20)) func `a handshake completes under loss, reordering and duplication, and both ends have the same keys`(
    seed: UInt64
  ) throws {
    let network = VirtualNetwork(
      seed: seed, loss: 0.2, latency: .milliseconds(30), jitter: .milliseconds(10), reorder: 0.2, duplicate: 0.1, mtu: 600)
    let pair = try Pair(network, mtu: 600)
    pair.client.start()
    pair.run(seconds: 20) { pair.client.state == .connected && pair.server.state == .connected }
    #expect(pair.client.state == .connected && pair.server.state == .connected)
    #expect(pair.largest <= 600, "\(pair.largest)")
    #expect(pair.network.statistics.tooLarge == 0)
    // AEAD_AES_128_GCM.
    #expect(pair.client.srtpProfile == 7 && pair.server.srtpProfile == 7)
    let keys = try #require(pair.client.exportSRTPKeys(56))
    #expect(pair.server.exportSRTPKeys(56) == keys && Set(keys).count > 20)
  }

  @Test func `data goes both ways, a record a datagram`() throws {
    let pair = try Pair(VirtualNetwork(seed: 1))
    pair.client.start()
    pair.run(seconds: 5) { pair.client.state == .connected && pair.server.state == .connected }
    let texts = (1...50).map { [UInt8](repeating: UInt8($0), count: $0 * 20) }
    for text in texts {
      #expect(pair.client.send(text.span.bytes) && pair.server.send(text.span.bytes))
    }
    pair.server.releaseBuffers()
    pair.run(seconds: 5) { pair.received[true]?.count == 50 && pair.received[false]?.count == 50 }
    #expect(pair.received[true] == texts && pair.received[false] == texts)
    pair.client.close()
    pair.run(seconds: 5) { pair.server.state == .closed }
    #expect(pair.server.state == .closed && !pair.server.send([1].span.bytes))
  }

  // RFC 8827 §6.5: the fingerprint is what authenticates.
  @Test func `a certificate with another fingerprint fails closed`() throws {
    let pair = try Pair(VirtualNetwork(seed: 1), trust: false)
    pair.server.expect([
      CertificateFingerprint(.sha256, [UInt8](repeating: 7, count: 32)), CertificateFingerprint(.sha512, [UInt8](repeating: 7, count: 64)),
    ])
    pair.client.start()
    pair.run(seconds: 5) { if case .failed = pair.server.state { true } else { false } }
    guard case .failed(let error) = pair.server.state else { return #expect(Bool(false), "\(pair.server.state)") }
    #expect(error.kind == .untrustedPeer)
    #expect(!pair.server.send([1].span.bytes) && pair.server.exportSRTPKeys(56) == nil && pair.server.srtpProfile == nil)
  }

  @Test func `a fingerprint may come after the handshake, and nothing is given away before`() throws {
    let pair = try Pair(VirtualNetwork(seed: 1), trust: false)
    pair.client.start()
    pair.run(seconds: 5) { pair.server.state == .unverified && pair.client.state == .unverified }
    #expect(pair.server.exportSRTPKeys(56) == nil && !pair.server.send([1].span.bytes))
    pair.server.expect([try #require(Self.identities.first).fingerprint])
    #expect(pair.server.state == .connected && pair.server.send([1].span.bytes))
  }

  @Test func `a peer that vanishes is given up after twelve flights`() throws {
    let pair = try Pair(VirtualNetwork(seed: 1, loss: 1))
    pair.client.start()
    pair.run(seconds: 60) { if case .failed = pair.client.state { true } else { false } }
    #expect(pair.clock.now < Instant.zero + .seconds(30))
  }

  // Chromium and Firefox of 2026: 1,413 and 1,461 bytes in two datagrams, which the network may deliver in either order.
  @Test(arguments: ["chromium-156", "firefox-esr-153"], [false, true])
  func `a browser's ClientHello in two datagrams is answered`(name: String, reversed: Bool) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors")
    let text = try String(contentsOf: folder.appendingPathComponent("\(name)-clienthello.hex"), encoding: .utf8)
    var fragments = try text.split(separator: "\n").map { try #require(Hex.decode(String($0))) }
    #expect(fragments.count == 2)
    if reversed { fragments.reverse() }
    let server = try DTLSEngine(.server, try #require(Self.identities.first))
    var (records, output) = (DatagramBatch(), DatagramBatch())
    Self.give(fragments[0], to: server, into: &records)
    #expect(!server.hasOutput)
    Self.give(fragments[1], to: server, into: &records)
    server.takeOutput(into: &output)
    // A ServerHello in DTLS 1.2.
    #expect(output.count >= 1 && output[0].byte(at: 0) == 22 && output[0].byte(at: 13) == 2 && records.isEmpty)
    #expect(server.state == .handshaking)
  }

  @Test func `garbage and cut records change nothing`() throws {
    let pair = try Pair(VirtualNetwork(seed: 3))
    pair.client.start()
    var (hello, records) = (DatagramBatch(), DatagramBatch())
    pair.client.takeOutput(into: &hello)
    let bytes = Array(copying: hello[0])
    for count in 0..<bytes.count { Self.give(Array(bytes[..<count]), to: pair.server, into: &records) }
    var random = SeededRandom(seed: 5)
    for _ in 0..<2000 {
      let noise = (0..<Int.random(in: 1...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      Self.give([22, 254, 253] + noise, to: pair.server, into: &records)
    }
    #expect(records.isEmpty && pair.server.exportSRTPKeys(56) == nil)
  }

  // RFC 8122 §5.
  @Test func `a fingerprint names its hash function, and others are refused`() throws {
    let fingerprint = try #require(Self.identities.first).fingerprint
    #expect(CertificateFingerprint(algorithm: fingerprint.algorithmName.uppercased(), digest: fingerprint.digest) == fingerprint)
    #expect(CertificateFingerprint(algorithm: "sha-256", digest: Array(fingerprint.digest.dropLast())) == nil)
    #expect(CertificateFingerprint(algorithm: "md5", digest: [UInt8](repeating: 0, count: 16)) == nil)
  }
}
