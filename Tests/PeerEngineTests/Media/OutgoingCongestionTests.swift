import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import Testing

/// What a peer is sent is stamped, and what the peer says about it becomes the estimate.
@Suite struct OutgoingCongestionTests {
  private static func media(_ mode: CongestionMode, stampID: UInt8, rtx: Bool = true) -> PeerMedia {
    var random = RandomSource(seed: 1)
    let track = OutgoingTrack(
      OutgoingTrack.Parameters(
        mid: "0", ssrc: 1, payloadType: 96, rtx: rtx ? (2, 97) : nil, clockRate: 90_000, cname: "c", stampID: stampID,
        hasNACK: true), random: &random)
    var media = PeerMedia([], [track], reporter: 9, cname: "c")
    media.congestion = CongestionControl(mode)
    return media
  }

  private static func send(_ media: inout PeerMedia, _ number: UInt16, now: Instant) throws -> PathStamp? {
    let made = media.outgoing[0].forward(
      sequenceNumber: number, timestamp: 90 * UInt32(number), marker: false, payloadBytes: 1000, source: 0, now: now)
    return media.stamp(try #require(made), bytes: 1036, as: .first, now: now)
  }

  private static func receive(_ packet: RTCPPacket, _ media: inout PeerMedia, now: Instant) {
    var writer = ByteWriter()
    packet.write(into: &writer)
    media.receiveControl(writer.bytes.span.bytes, now: now, ntp: NTPTime(value: 0))
  }

  @Test func `packets are numbered in the order in which they leave, retransmissions and padding among them`() throws {
    var media = Self.media(.transportFeedback, stampID: 3)
    #expect(try Self.send(&media, 1, now: .zero) == .number(1))
    #expect(try Self.send(&media, 2, now: .zero) == .number(2))
    let made = media.outgoing[0].pad()
    let padding = try #require(made)
    #expect(padding.hasPadding && padding.ssrc == 2 && padding.payloadType == 97 && padding.stampID == 3)
    #expect(media.stamp(padding, bytes: 300, as: .padding, now: .zero) == .number(3))
    let feedback = TransportFeedback(
      sender: 1, media: 1, baseSequenceNumber: 1, referenceTime: 0, feedbackCount: 0, deltas: [0, 4, 4])
    Self.receive(.transportFeedback(feedback), &media, now: .zero + .milliseconds(50))
    #expect(media.congestion?.estimate?.reason == .delay)
  }

  // RFC 3711 §9.1: under one number there is one packet, or the cipher gives its key away.
  @Test func `what is sent again under its own number has the stamp that it had`() throws {
    var media = Self.media(.transportFeedback, stampID: 3, rtx: false)
    for number in 1..<50 as Range<UInt16> { _ = try Self.send(&media, number, now: .zero) }
    let made = media.outgoing[0].forward(
      sequenceNumber: 50, timestamp: 4500, marker: false, payloadBytes: 1000, source: 0, now: .zero)
    let fields = try #require(made)
    let first = media.stamp(fields, bytes: 1036, as: .first, now: .zero)
    #expect(first == .number(50))
    _ = try Self.send(&media, 51, now: .zero)
    let again = media.outgoing[0].retransmit(fields.sequenceNumber, timestamp: 4500, marker: false, source: 0)
    #expect(again == fields)
    #expect(media.stamp(fields, bytes: 1036, as: .repetition, now: .zero + .seconds(1)) == first)
    #expect(try Self.send(&media, 52, now: .zero) == .number(52))
  }

  @Test func `without the extension packets have no stamp and are counted all the same`() throws {
    var media = Self.media(.reports, stampID: 0)
    #expect(try Self.send(&media, 1, now: .zero) == nil)
    Self.receive(.bitrateEstimate(ReceiverEstimatedBitrate(sender: 1, bitsPerSecond: 400_000, sources: [1])), &media, now: .zero)
    #expect(media.congestion?.estimate == BandwidthEstimate(bitsPerSecond: 400_000, reason: .remb))
    for number in 2..<100 as Range<UInt16> { _ = try Self.send(&media, number, now: .zero) }
    #expect(media.congestion?.isOpen(.zero) == false)
  }

  @Test func `for REMB packets have the time at which they left`() throws {
    var media = Self.media(.reports, stampID: 4)
    #expect(try Self.send(&media, 1, now: .zero + .seconds(1)) == .sendTime(AbsoluteSendTime(.zero + .seconds(1))))
  }

  @Test func `there is no padding without a stream of its own, nor before media`() throws {
    var bare = Self.media(.transportFeedback, stampID: 3, rtx: false)
    _ = try Self.send(&bare, 1, now: .zero)
    #expect(bare.paddedTrack == nil)
    var media = Self.media(.transportFeedback, stampID: 3)
    #expect(media.paddedTrack == nil)
    let padding = media.outgoing[0].pad()
    #expect(padding == nil)
    _ = try Self.send(&media, 1, now: .zero)
    #expect(media.paddedTrack == 0)
  }
}
