internal import MartletCodecs
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP

/// The sending half of a transceiver: frames become packets, and the last of them are kept for who lost one.
final class TrackSending {
  let transceiver: UInt32
  /// Of `PeerMedia.outgoing`.
  let index: Int
  var codecs: [RTPCodec] { didSet { packetizer = nil } }
  private var random: RandomSource
  private var packetizer: RTPPacketizer?
  private var payloads = RTPPayloads()
  private var sequence: UInt16
  private let source: UInt32 = 0
  private var recent = Deque<(sequence: UInt16, timestamp: UInt32, marker: Bool, payload: Slice)>()

  private static let kept = 512

  init(transceiver: UInt32, index: Int, codecs: [RTPCodec], random: inout RandomSource) {
    self.transceiver = transceiver
    self.index = index
    self.codecs = codecs
    sequence = UInt16.random(in: 0..<32_768, using: &random)
    self.random = random
  }

  func send(_ frame: MediaTransceiver.Frame, over session: PeerSession, now: Instant) throws(PeerError) {
    guard let codec = codecs.first(where: { $0.isPrimary && $0.media != nil }), let media = codec.media else {
      throw PeerError(.invalidState, "no codec that frames can be sent in was negotiated")
    }
    if packetizer == nil { packetizer = RTPPacketizer(media, random: &random) }
    let unit = Frame(
      track: 0, dts: Int64(frame.timestamp), pts: Int64(frame.timestamp), isKey: frame.isKeyFrame, payload: Slice(frame.data))
    do throws(PayloadError) { try packetizer?.packetize(unit, into: &payloads) } catch { throw PeerError(.operation, "\(error)") }
    for (place, payload) in payloads.slices.enumerated() {
      let marker = media.kind == .video && place == payloads.count - 1
      let timestamp = frame.timestamp &+ payloads.timestampOffset(of: place)
      let fields = session.media.outgoing[index].forward(
        sequenceNumber: sequence, timestamp: timestamp, marker: marker, payloadBytes: payload.count, source: source, now: now)
      if let fields { session.send(fields, payload: payload.bytes) }
      recent.append((sequence, timestamp, marker, payload))
      if recent.count > Self.kept { recent.popFirst() }
      sequence &+= 1
    }
  }

  func retransmit(_ lost: [UInt16], over session: PeerSession, now: Instant) {
    for number in lost.prefix(64) {
      guard let origin = session.media.outgoing[index].origin(of: number),
        let packet = recent.first(where: { $0.sequence == origin.sequenceNumber }),
        let fields = session.media.outgoing[index].retransmit(
          number, timestamp: packet.timestamp, marker: packet.marker, source: source)
      else { continue }
      session.resend(fields, number: number, of: index, payload: packet.payload.bytes)
    }
  }
}
