package import MartletCodecs
package import MartletPrimitives

/// An RTP payload with what a depacketizer needs of its header, the counters unwrapped.
package struct SequencedPayload: Sendable, Equatable {
  package var sequence: Int64
  /// In ticks of the codec's RTP clock.
  package var timestamp: Int64
  package var marker: Bool
  /// Without padding.
  package var payload: Slice

  package init(sequence: Int64, timestamp: Int64, marker: Bool, payload: Slice) {
    self.sequence = sequence
    self.timestamp = timestamp
    self.marker = marker
    self.payload = payload
  }
}

/// A frame as it came: whole.
package struct AccessUnit: Sendable, Equatable {
  /// In ticks of the codec's RTP clock: the presentation time.
  package var timestamp: Int64
  package var isKey: Bool
  /// In the form of `Frame.payload`, parameter sets in band.
  package var payload: Slice
  /// The packets it came in, padding among them included.
  package var sequences: ClosedRange<Int64>

  package init(timestamp: Int64, isKey: Bool, payload: Slice, sequences: ClosedRange<Int64>) {
    (self.timestamp, self.isKey, self.payload, self.sequences) = (timestamp, isKey, payload, sequences)
  }
}

package enum DepacketizerEvent: Sendable, Equatable {
  case unit(AccessUnit)
  /// A frame or several were lost or dropped: video cannot go on before the next key frame, which is to be asked for. Comes once
  /// for each gap in the sequence numbers and each unit that turns out to be malformed or too large.
  case lost
}

/// Turns the RTP payloads of a track, in order, into access units. A unit of which a packet is missing never comes out.
///
/// After a gap a unit is taken only if its first packet is surely the first: what was lost may belong to it. So a unit that
/// is whole may be dropped beside one that is not, but never the other way round.
package struct RTPDepacketizer: Sendable {
  private enum Format: Sendable {
    case nal(VideoDepacketizer<NALAssembler>), vp8(VideoDepacketizer<VP8Assembler>), vp9(VideoDepacketizer<VP9Assembler>)
    case av1(VideoDepacketizer<AV1Assembler>), audio(AudioDepacketizer)
    /// While one of the others works.
    case busy
  }

  private var format: Format

  /// `nil` for a codec that has no payload format here.
  package init?(_ codec: Codec, limits: PayloadLimits = PayloadLimits()) {
    switch codec {
    case .h264: format = .nal(VideoDepacketizer(NALAssembler(.h264), limits: limits))
    case .hevc: format = .nal(VideoDepacketizer(NALAssembler(.hevc), limits: limits))
    case .vp8: format = .vp8(VideoDepacketizer(VP8Assembler(), limits: limits))
    case .vp9: format = .vp9(VideoDepacketizer(VP9Assembler(), limits: limits))
    case .av1: format = .av1(VideoDepacketizer(AV1Assembler(), limits: limits))
    case .opus, .g711a, .g711u, .g722: format = .audio(AudioDepacketizer())
    case .aac, .mp3, .data: return nil
    }
  }

  /// Audio under RED (RFC 2198), whose redundant blocks stand in for lost packets.
  package static var redundantAudio: RTPDepacketizer { RTPDepacketizer(format: .audio(AudioDepacketizer(isRedundant: true))) }

  private init(format: Format) { self.format = format }

  /// Takes the next packet and appends what it completes, two events at most for video.
  package mutating func receive(_ packet: SequencedPayload, into events: inout [DepacketizerEvent]) {
    switch exchange(&format, with: .busy) {
    case .nal(var depacketizer):
      depacketizer.receive(packet, into: &events)
      format = .nal(depacketizer)
    case .vp8(var depacketizer):
      depacketizer.receive(packet, into: &events)
      format = .vp8(depacketizer)
    case .vp9(var depacketizer):
      depacketizer.receive(packet, into: &events)
      format = .vp9(depacketizer)
    case .av1(var depacketizer):
      depacketizer.receive(packet, into: &events)
      format = .av1(depacketizer)
    case .audio(var depacketizer):
      depacketizer.receive(packet, into: &events)
      format = .audio(depacketizer)
    case .busy: break
    }
  }
}
