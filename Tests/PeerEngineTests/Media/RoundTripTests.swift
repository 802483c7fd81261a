import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import MartletSDP
import Testing

/// RFC 3611 §4.4, §4.5: who sends no media measures the round trip too.
@Suite struct RoundTripTests {
  private static let section = IncomingSection(
    mid: "0", kind: .audio, codecs: [RTPCodec(0, "PCMU", clockRate: 8000)], extensions: HeaderExtensions(), announced: [])
  private static let start = NTPTime(WallTime(milliseconds: 1_800_000_000_000))

  private func ntp(_ now: Instant) -> NTPTime { Self.start.advanced(by: now - .zero) }

  /// What it has to say at this time.
  private func said(_ media: inout PeerMedia, now: Instant) -> [[UInt8]] {
    var batch = DatagramBatch()
    media.poll(now: now, ntp: ntp(now), clocks: [], into: &batch)
    return (0..<batch.count).map { index in Slice(copying: batch[index]).array }
  }

  private func receivesMedia(_ media: inout PeerMedia, now: Instant) {
    var writer = ByteWriter()
    RTPHeaderFields(payloadType: 0, sequenceNumber: 1, timestamp: 160, ssrc: 7, marker: false).write(into: &writer)
    writer.append([1, 2, 3])
    var packet = writer.bytes
    _ = packet.withUnsafeMutableBytes { media.incoming.receive($0, now: now) }
  }

  @Test func `a receiver asks with its reports, and a peer that waits before it answers is not slower for it`() {
    var receiver = PeerMedia([Self.section], [], reporter: 1, cname: "a")
    var sender = PeerMedia([Self.section], [], reporter: 2, cname: "b")
    let now = Instant.zero + .seconds(1)
    receivesMedia(&receiver, now: now)
    #expect(receiver.roundTrip == nil)
    for datagram in said(&receiver, now: now) {
      sender.receiveControl(datagram.span.bytes, now: now + .milliseconds(40), ntp: ntp(now))
    }
    // It has something to report half a second later.
    let later = now + .milliseconds(540)
    receivesMedia(&sender, now: later)
    for datagram in said(&sender, now: later) {
      receiver.receiveControl(datagram.span.bytes, now: later + .milliseconds(60), ntp: ntp(later + .milliseconds(60)))
    }
    let trip = receiver.roundTrip ?? .zero
    #expect(trip > .milliseconds(99) && trip < .milliseconds(101))
  }

  @Test func `an answer that is for another, or from before the question, says nothing`() {
    var receiver = PeerMedia([Self.section], [], reporter: 1, cname: "a")
    for reply in [
      ExtendedReport.Reply(ssrc: 9, lastReferenceTime: Self.start.middle, delay: 0), .init(ssrc: 1, lastReferenceTime: 0, delay: 0),
      .init(ssrc: 1, lastReferenceTime: Self.start.middle, delay: .max / 2),
    ] {
      var writer = ByteWriter()
      ReceiverReport(ssrc: 2, blocks: []).write(into: &writer)
      ExtendedReport(ssrc: 2, replies: [reply]).write(into: &writer)
      receiver.receiveControl(writer.bytes.span.bytes, now: .zero, ntp: Self.start)
      #expect(receiver.roundTrip == nil && receiver.malformedControl == 0)
    }
  }
}
