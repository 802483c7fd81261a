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
  var codecs: [RTPCodec] { didSet { (packetizer, silence) = (nil, nil) } }
  /// Silence is told and not sent, where the peer takes that.
  var suppressesSilence = false { didSet { if !suppressesSilence { silence = nil } } }
  private var silence: SilenceSuppression?
  private var random: RandomSource
  private var packetizer: RTPPacketizer?
  private var payloads = RTPPayloads()
  private var sequence: UInt16
  private let source: UInt32 = 0
  /// The last packets, in the order of their numbers; those at the end have not been sent.
  private var recent = Deque<Packet>()
  private var unsent = 0
  private var awaitsKey = false

  private struct Packet {
    let sequence: UInt16
    let timestamp: UInt32
    let marker: Bool
    let payload: Slice
    let made: Instant
    /// Of noise; without, that of the track.
    var payloadType: UInt8?
  }

  /// A key frame of some megabits in 1,200-byte packets.
  private static let kept = 1024
  /// How long a picture waits for the path.
  private static let patience = TimeSpan.milliseconds(500)

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
    switch judge(frame, media, codec, now: now) {
    case .sound(let startsSpurt): try packetize(frame, media, marksFirst: startsSpurt, now: now)
    case .noise(let noise): keep(noise, timestamp: frame.timestamp, now: now)
    case .nothing: return
    }
    while unsent > 0, media.kind == .audio || isOpen(session, now) { sendNext(over: session, now: now) }
  }

  private func packetize(_ frame: MediaTransceiver.Frame, _ media: Codec, marksFirst: Bool, now: Instant) throws(PeerError) {
    let unit = Frame(
      track: 0, dts: Int64(frame.timestamp), pts: Int64(frame.timestamp), isKey: frame.isKeyFrame, payload: Slice(frame.data))
    do throws(PayloadError) { try packetizer?.packetize(unit, into: &payloads) } catch { throw PeerError(.operation, "\(error)") }
    // What was left out leaves everything without its reference up to the next key frame.
    if awaitsKey, !frame.isKeyFrame { return }
    awaitsKey = false
    for (place, payload) in payloads.slices.enumerated() {
      let marker = media.kind == .video ? place == payloads.count - 1 : marksFirst && place == 0
      keep(
        Packet(
          sequence: sequence, timestamp: frame.timestamp &+ payloads.timestampOffset(of: place), marker: marker, payload: payload,
          made: now))
      sequence &+= 1
    }
  }

  // MARK: Silence (RFC 3389)

  /// Sound that the peer takes no noise for is sent whatever it is.
  private func judge(
    _ frame: MediaTransceiver.Frame, _ media: Codec, _ codec: RTPCodec, now: Instant
  ) -> SilenceSuppression.Verdict {
    guard suppressesSilence, noiseType(for: codec) != nil, var suppression = silence ?? SilenceSuppression(media) else {
      return .sound(startsSpurt: false)
    }
    defer { silence = suppression }
    return suppression.receive(frame.data.span.bytes, timestamp: frame.timestamp, now: now)
  }

  /// Of the same clock of RTP, which is that of CN/8000 for G.722 too (RFC 3551 §4.5.2, RFC 3389 §4).
  private func noiseType(for codec: RTPCodec) -> UInt8? {
    codecs.first { $0.isNamed("CN") && $0.clockRate == codec.clockRate }?.payloadType
  }

  private func keep(_ noise: ComfortNoise, timestamp: UInt32, now: Instant) {
    guard let type = codecs.first(where: \.isPrimary).flatMap(noiseType(for:)) else { return }
    keep(Packet(sequence: sequence, timestamp: timestamp, marker: false, payload: noise.payload, made: now, payloadType: type))
    sequence &+= 1
  }

  /// Speaks for a source that has stopped; answers when to do so again.
  func sendNoise(over session: PeerSession, now: Instant) -> Instant? {
    if let (noise, timestamp) = silence?.timeout(now: now) {
      keep(noise, timestamp: timestamp, now: now)
      while unsent > 0 { sendNext(over: session, now: now) }
    }
    return silence?.deadline
  }

  /// Whether packets wait for the path.
  var isHolding: Bool { unsent > 0 }

  private func isOpen(_ session: PeerSession, _ now: Instant) -> Bool { session.media.congestion?.isOpen(now) ?? true }

  private func keep(_ packet: Packet) {
    recent.append(packet)
    unsent += 1
    guard recent.count > Self.kept else { return }
    recent.popFirst()
    unsent = min(unsent, recent.count)
  }

  private func sendNext(over session: PeerSession, now: Instant) {
    let packet = recent[recent.count - unsent]
    unsent -= 1
    let fields = session.media.outgoing[index].forward(
      sequenceNumber: packet.sequence, timestamp: packet.timestamp, marker: packet.marker, payloadBytes: packet.payload.count,
      source: source, now: now)
    guard var fields else { return }
    fields.payloadType = packet.payloadType ?? fields.payloadType
    session.send(fields, payload: packet.payload.bytes, now: now)
  }

  /// Sends what waits as far as the path takes it. What has waited too long is left out.
  ///
  /// - Returns: true when a key frame is needed now.
  func sendHeld(over session: PeerSession, now: Instant) -> Bool {
    while unsent > 0, isOpen(session, now) { sendNext(over: session, now: now) }
    guard unsent > 0, now - recent[recent.count - unsent].made > Self.patience else { return false }
    while unsent > 0, let packet = recent.popLast() {
      unsent -= 1
      session.media.congestion?.leftOut(bytes: packet.payload.count, now: now)
    }
    // The next ones take the numbers of those that were not sent.
    sequence = recent.last.map { $0.sequence &+ 1 } ?? sequence
    awaitsKey = true
    return true
  }

  func retransmit(_ lost: [UInt16], over session: PeerSession, now: Instant) {
    for number in lost.prefix(64) where session.media.congestion?.isOpenForRepair(now) ?? true {
      guard let origin = session.media.outgoing[index].origin(of: number),
        let packet = recent.first(where: { $0.sequence == origin.sequenceNumber }),
        var fields = session.media.outgoing[index].retransmit(
          number, timestamp: packet.timestamp, marker: packet.marker, source: source)
      else { continue }
      if let type = packet.payloadType {
        // Retransmissions are negotiated for the track's codec alone.
        guard session.media.outgoing[index].parameters.rtx == nil else { continue }
        fields.payloadType = type
      }
      session.resend(fields, number: number, of: index, payload: packet.payload.bytes, now: now)
    }
  }
}
