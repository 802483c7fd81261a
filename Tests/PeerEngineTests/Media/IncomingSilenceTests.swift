import MartletCodecs
import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import MartletSDP
import Testing

/// RFC 3389 §4: comfort noise has the sequence numbers of the sound that it takes the place of; so have events (RFC 4733 §2.2).
@Suite struct IncomingSilenceTests {
  private static let codecs = [
    RTPCodec(0, "PCMU", clockRate: 8000, feedback: [.nack]), RTPCodec(13, "CN", clockRate: 8000),
    RTPCodec(126, "telephone-event", clockRate: 8000),
  ]
  private let now = Instant.zero + .seconds(1)

  private func packet(_ number: UInt16, type: UInt8, _ payload: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    RTPHeaderFields(payloadType: type, sequenceNumber: number, timestamp: UInt32(number) * 160, ssrc: 7, marker: false).write(into: &writer)
    writer.append(payload)
    return writer.bytes
  }

  @Test func `noise and events are told apart from sound, and nothing is missing`() throws {
    let section = IncomingSection(mid: "0", kind: .audio, codecs: Self.codecs, extensions: HeaderExtensions(), announced: [])
    var media = IncomingMedia([section], reporter: 1)
    var (jitter, depacketizer) = (JitterBuffer(), try #require(RTPDepacketizer(.g711u)))
    var (ordered, events) = ([JitterBuffer.Output](), [DepacketizerEvent]())
    let sent: [(UInt8, [UInt8])] = [(0, [1, 2]), (13, [0x4d, 9]), (126, [5, 0x8a, 3, 0x20]), (0, [3, 4])]
    for (number, (type, payload)) in sent.enumerated() {
      var buffer = packet(UInt16(number), type: type, payload)
      let taken = try #require(buffer.withUnsafeMutableBytes { media.receive($0, now: now) })
      #expect(taken.isBesideMedia == (type != 0) && Array(buffer[taken.payload]) == payload)
      jitter.receive(
        sequence: taken.header.sequenceNumber, timestamp: taken.header.timestamp, marker: false,
        payload: taken.isBesideMedia ? [] : Slice(payload), now: now, into: &ordered)
    }
    for case .packet(let packet) in ordered { depacketizer.receive(packet, into: &events) }
    let frames = events.compactMap { if case .unit(let unit) = $0 { unit.payload } else { nil } }
    #expect(frames == [[1, 2], [3, 4]] && events.count == 2)
    #expect(media.drops.unused == 0 && media.streams[0].codec.name == "PCMU")
    var (feedback, blocks) = ([RTCPPacket](), [ReportBlock]())
    media.poll(now: now + .seconds(2), into: &feedback, blocks: &blocks)
    #expect(blocks.map(\.cumulativeLost) == [0])
    #expect(!feedback.contains { if case .nack = $0 { true } else { false } })
  }
}
