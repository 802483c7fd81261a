import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import MartletSDP
import Testing

/// FlexFEC from one end to the other, with what both make of headers and stamps.
@Suite struct OutgoingRepairTests {
  private static let stampID: UInt8 = 5

  private func sender() -> PeerMedia {
    var random = RandomSource(seed: 1)
    let track = OutgoingTrack(
      OutgoingTrack.Parameters(
        mid: "0", ssrc: 7, payloadType: 96, fec: (9, 119), clockRate: 90_000, cname: "x", stampID: Self.stampID), random: &random)
    return PeerMedia([], [track], reporter: 1, cname: "x")
  }

  private func receiver() -> IncomingMedia {
    var extensions = HeaderExtensions()
    extensions.register(.transportSequenceNumber, id: Self.stampID)
    let codecs = [RTPCodec(96, "VP8", clockRate: 90_000), RTPCodec(119, "flexfec-03", clockRate: 90_000)]
    return IncomingMedia(
      [IncomingSection(mid: "0", kind: .video, codecs: codecs, extensions: extensions, announced: [.init(ssrc: 7)])], reporter: 2)
  }

  private func report(_ media: inout PeerMedia, lost: UInt8) {
    var writer = ByteWriter()
    ReceiverReport(ssrc: 2, blocks: [ReportBlock(ssrc: 7, fractionLost: lost, cumulativeLost: 0, extendedHighest: 0)]).write(into: &writer)
    media.receiveControl(writer.bytes.span.bytes, now: .zero, ntp: NTPTime(value: 0))
  }

  /// A packet of a track, and the repair packet behind it.
  private func send(_ number: UInt16, _ payload: [UInt8], over media: inout PeerMedia, stamp: UInt16) -> [[UInt8]] {
    let forwarded = media.outgoing[0].forward(
      sequenceNumber: number, timestamp: UInt32(number) * 90, marker: false, payloadBytes: payload.count, source: 0, now: .zero)
    guard let fields = forwarded else { return [] }
    var header = ByteWriter()
    fields.write(.number(stamp), into: &header)
    let repair = media.repair(fields, header: header.bytes.span.bytes, payload: payload.span.bytes, now: .zero)
    guard let (repairFields, content) = repair else { return [header.bytes + payload] }
    var second = ByteWriter()
    repairFields.write(.number(stamp &+ 1000), into: &second)
    return [header.bytes + payload, second.bytes + content]
  }

  // draft-ietf-payload-flexible-fec-scheme-03
  @Test func `what a lossy path loses comes back, and a path without loss gets no repair packets`() {
    var (media, peer) = (sender(), receiver())
    var random = RandomSource(seed: 3)
    var (lost, back, repairs) = (0, 0, 0)
    for number in 0..<1200 as Range<UInt16> {
      switch number {
      case 200: report(&media, lost: 13)
      case 1000: for _ in 0..<20 { report(&media, lost: 0) }
      default: break
      }
      let payload = [0x10, 0] + random.bytes(100 + Int(random.next() % 900))
      for (place, packet) in send(number, payload, over: &media, stamp: number &* 3).enumerated() {
        if place == 1 {
          repairs += 1
          #expect((200..<1000).contains(number))
        }
        // Every thirtieth.
        if place == 0, number % 30 == 17, (200..<990).contains(number) {
          lost += 1
          continue
        }
        var buffer = packet
        _ = buffer.withUnsafeMutableBytes { peer.receive($0, now: .zero) }
        while let (found, bytes) = peer.pollRecovered(now: .zero) {
          back += 1
          #expect(bytes.count > 100 && found.header.ssrc == 7)
        }
      }
    }
    #expect(repairs == 114)
    #expect(lost == 26)
    #expect(back == lost)
    #expect(peer.drops.malformed == 0 && peer.drops.unused == 0 && peer.drops.unknown == 0)
  }

  @Test func `more loss makes smaller groups`() {
    func repairs(_ lost: UInt8) -> Int {
      var media = sender()
      report(&media, lost: lost)
      return (0..<240 as Range<UInt16>).reduce(0) { $0 + send($1, [1, 2, 3], over: &media, stamp: $1).count - 1 }
    }
    #expect(repairs(0) == 0)
    #expect(repairs(2) == 0)
    #expect(repairs(5) == 12)
    #expect(repairs(13) == 34)
    #expect(repairs(255) == 60)
  }
}
