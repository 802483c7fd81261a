import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct SRTPReceiverTests {
  @Test(arguments: SRTPProfile.allCases) func `what one protects the other reads, of any size`(_ profile: SRTPProfile) throws {
    let pair = try SRTPPair(profile)
    var random = RandomSource(seed: 3)
    for (number, size) in [0, 1, 15, 16, 17, 100, 1188, 1460].enumerated() {
      var extensions = ExtensionElements()
      if size % 2 == 1 { extensions.append(3, 0x1234, count: 2) }
      let plain = packet(sequenceNumber: UInt16(number), extensions: extensions, payload: random.bytes(size))
      let protected = try pair.protect(plain)
      #expect(protected.count == plain.count + profile.rtpOverhead)
      #expect(try pair.unprotect(protected) == plain)
      let control = hex("80c90001 12345678") + random.bytes(size / 4 * 4)
      let protectedControl = try pair.sender.protectedControl(control)
      #expect(protectedControl.count == control.count + profile.rtcpOverhead)
      #expect(try pair.receiver.unprotectedControl(protectedControl) == control)
    }
  }

  // RFC 3711 §3.3.2.
  @Test(arguments: SRTPProfile.allCases) func `a packet is accepted once`(_ profile: SRTPProfile) throws {
    let pair = try SRTPPair(profile)
    let first = try pair.protect(packet(sequenceNumber: 100, payload: [1]))
    let late = try pair.protect(packet(sequenceNumber: 101, payload: [2]))
    let old = try pair.protect(packet(sequenceNumber: 102, payload: [3]))
    _ = try pair.unprotect(first)
    #expect(throws: SRTPError.replayed(ssrc: 0x1234_5678, index: 100)) { try pair.unprotect(first) }
    let far = try pair.protect(packet(sequenceNumber: 1124, payload: [4]))
    _ = try pair.unprotect(far)
    // 1,023 behind the newest is the last place of the window.
    #expect(try pair.unprotect(late).last == 2)
    _ = try pair.unprotect(try pair.protect(packet(sequenceNumber: 1126, payload: [4])))
    #expect(throws: SRTPError.replayed(ssrc: 0x1234_5678, index: 102)) { try pair.unprotect(old) }
    let control = try pair.sender.protectedControl(hex("80c90001 12345678"))
    _ = try pair.receiver.unprotectedControl(control)
    #expect(throws: SRTPError.replayed(ssrc: 0x1234_5678, index: 0)) { try pair.receiver.unprotectedControl(control) }
  }

  @Test(arguments: SRTPProfile.allCases) func `every changed bit is noticed and leaves no trace`(_ profile: SRTPProfile) throws {
    var limits = SRTPLimits()
    limits.sources = 1
    let pair = try SRTPPair(profile, limits: limits)
    let plain = packet(sequenceNumber: 1, payload: [1, 2, 3])
    let protected = try pair.protect(plain)
    for bit in 0..<protected.count * 8 {
      var forged = protected
      forged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: SRTPError.self) { try pair.unprotect(forged) }
    }
    // Had a forged source been remembered, the only place would be taken.
    #expect(try pair.unprotect(protected) == plain)
    let control = try pair.sender.protectedControl(hex("80c90001 12345678 00000001"))
    for bit in 0..<control.count * 8 {
      var forged = control
      forged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: SRTPError.self) { try pair.receiver.unprotectedControl(forged) }
    }
    #expect(try pair.receiver.unprotectedControl(control) == hex("80c90001 12345678 00000001"))
    #expect(throws: SRTPError.tooManySources(maximum: 1)) { try pair.unprotect(packet(sequenceNumber: 1, ssrc: 5, payload: protected)) }
  }

  @Test(arguments: SRTPProfile.allCases) func `what ends too soon is malformed or not genuine`(_ profile: SRTPProfile) throws {
    let pair = try SRTPPair(profile)
    var extensions = ExtensionElements()
    extensions.append(1, "mid")
    let protected = try pair.protect(packet(sequenceNumber: 1, extensions: extensions, payload: [1, 2, 3]))
    for count in 0..<protected.count { #expect(throws: SRTPError.self) { try pair.unprotect(Array(protected.prefix(count))) } }
    let control = try pair.sender.protectedControl(hex("80c90001 12345678 00000001"))
    for count in 0..<control.count {
      #expect(throws: SRTPError.self) { try pair.receiver.unprotectedControl(Array(control.prefix(count))) }
    }
  }

  // RFC 3711 §3.3.1 and Appendix A.
  @Test(arguments: seeds(20)) func `the roll-over counter survives loss and disorder`(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let pair = try SRTPPair(seed % 2 == 0 ? .aeadAES128GCM : .aes128CounterModeHMACSHA1_80, seed: seed)
    let (a, b) = (SocketAddress(host: 1), SocketAddress(host: 2))
    var network = VirtualNetwork(seed: seed, loss: 0.1, latency: .milliseconds(20), jitter: .milliseconds(5), reorder: 0.1, duplicate: 0.05)
    var now = Instant.zero
    // Only every 100th number is used, so that three roll-overs take few packets.
    var next = Int.random(in: 0..<32_768, using: &random)
    var seen: Set<[UInt8]> = []
    for _ in 0..<2000 {
      let content = packet(sequenceNumber: UInt16(truncatingIfNeeded: next), payload: withUnsafeBytes(of: next.bigEndian) { Array($0) })
      network.send(.init(from: a, to: b, bytes: try pair.protect(content)), now: now)
      next += 20 * Int.random(in: 1...10, using: &random)
      now = now + .milliseconds(5)
      while let datagram = network.receive(now: now) {
        guard let plain = try? pair.unprotect(datagram.bytes) else { continue }
        #expect(seen.insert(plain).inserted, "a packet came twice")
      }
    }
    // Reordered packets may lie behind the window, since the numbers run so fast; nothing else is lost.
    #expect(seen.count > 1500)
  }
}
