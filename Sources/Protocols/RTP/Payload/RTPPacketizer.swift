package import MartletCodecs
package import MartletPrimitives

/// Turns frames of a track into RTP payloads.
///
/// The marker bit belongs on the last payload of a video frame (RFC 6184 §5.1 and the other video formats); audio has none
/// in the middle of a talkspurt (RFC 3551 §4.1).
package struct RTPPacketizer: Sendable {
  package struct Options: Sendable {
    /// Bytes of a payload: a datagram of 1,200 bytes, which passes everywhere (RFC 8831 §5), without 12 of RTP header, 28 of
    /// header extensions and 16 of SRTP tag.
    package var maximumSize = 1144
    /// H.264 in packetization mode 0 (RFC 6184 §6.2): each NAL unit in a packet of its own. Larger ones are refused, which is
    /// why mode 1 is wanted.
    package var singleNALUnits = false
    /// Milliseconds of G.711 and G.722 in a packet.
    package var packetTime = 20

    package init() {}
  }

  private enum Format: Sendable {
    case nal(NALPacketizer), vp8(VP8Packetizer), vp9(VP9Packetizer), av1(AV1Packetizer), audio(AudioPacketizer)
    /// While one of the others works.
    case busy
  }

  private var format: Format

  /// `nil` for a codec that has no payload format here.
  /// - Parameter random: for the first picture id, which RFC 7741 §4.2 wants random.
  package init?(_ codec: Codec, options: Options = Options(), random: inout RandomSource) {
    let maximum = min(max(options.maximumSize, 64), 65_000)
    let pictureID = UInt16(truncatingIfNeeded: random.next()) & 0x7fff
    switch codec {
    case .h264: format = .nal(NALPacketizer(.h264, maximumSize: maximum, aggregates: !options.singleNALUnits))
    case .hevc: format = .nal(NALPacketizer(.hevc, maximumSize: maximum, aggregates: true))
    case .vp8: format = .vp8(VP8Packetizer(maximumSize: maximum, pictureID: pictureID))
    case .vp9: format = .vp9(VP9Packetizer(maximumSize: maximum, pictureID: pictureID))
    case .av1: format = .av1(AV1Packetizer(maximumSize: maximum))
    case .opus: format = .audio(AudioPacketizer(maximumSize: maximum, packetTicks: nil))
    // 8 bytes a millisecond, one channel.
    case .g711a, .g711u, .g722: format = .audio(AudioPacketizer(maximumSize: maximum, packetTicks: 8 * max(1, options.packetTime)))
    case .aac, .mp3, .data: return nil
    }
  }

  /// Takes the parameter sets of H.264 and HEVC, which are sent before key frames that do not carry their own; nothing for others.
  package mutating func setFormat(_ track: TrackFormat) throws(PayloadError) {
    guard case .nal(var packetizer) = format else { return }
    do { try packetizer.setConfiguration(track.configuration) } catch { throw .malformed(error) }
    format = .nal(packetizer)
  }

  /// Puts the payloads of a frame in the place of what `payloads` held.
  package mutating func packetize(_ frame: Frame, into payloads: inout RTPPayloads) throws(PayloadError) {
    payloads.removeAll()
    guard !frame.payload.isEmpty else { return }
    do throws(PayloadError) {
      try write(frame, &payloads)
    } catch {
      payloads.removeAll()
      throw error
    }
  }

  private mutating func write(_ frame: Frame, _ payloads: inout RTPPayloads) throws(PayloadError) {
    switch exchange(&format, with: .busy) {
    case .nal(var packetizer):
      defer { format = .nal(packetizer) }
      try packetizer.packetize(frame.payload, isKey: frame.isKey, into: &payloads)
    case .vp8(var packetizer):
      defer { format = .vp8(packetizer) }
      packetizer.packetize(frame.payload, into: &payloads)
    case .vp9(var packetizer):
      defer { format = .vp9(packetizer) }
      try packetizer.packetize(frame.payload, into: &payloads)
    case .av1(let packetizer):
      defer { format = .av1(packetizer) }
      try packetizer.packetize(frame.payload, isKey: frame.isKey, into: &payloads)
    case .audio(let packetizer):
      defer { format = .audio(packetizer) }
      try packetizer.packetize(frame.payload, into: &payloads)
    case .busy: break
    }
  }
}
