package import MartletCodecs
package import MartletPrimitives

/// A piece of a track as it travels in one packet: the plane beside frames. Publishers whose protocol has packets hand them on
/// untouched; for others they are made of frames, once, while somebody wants them.
package struct StreamPacket: Sendable {
  /// An index of the stream's `PacketTrack`s.
  package var track: UInt8
  /// An index of the track's `layers`; 0 without simulcast.
  package var layer: UInt8
  /// Stands for the layer that frames are made of, where a key frame is asked for.
  package static let framedLayer = UInt8.max
  /// Whose numbers these are: another publisher, or another layer, is another source.
  package var source: UInt32
  package var sequence: UInt16
  /// In ticks of the track's clock.
  package var timestamp: UInt32
  /// The last packet of a picture.
  package var marker: Bool
  /// A viewer can begin here; always true for sound.
  package var startsKeyFrame: Bool
  /// Of a track whose layers are in one source.
  package var frame: ScalableFrame?
  /// Bytes at the end of `payload` that are padding; the last of them counts them.
  package var padding: UInt8
  /// Empty where the publisher's number carried nothing: viewers' numbers close over it.
  package var payload: Slice

  package init(
    track: UInt8, layer: UInt8 = 0, source: UInt32, sequence: UInt16, timestamp: UInt32, marker: Bool, startsKeyFrame: Bool,
    frame: ScalableFrame? = nil, padding: UInt8 = 0, payload: Slice
  ) {
    self.track = track
    self.layer = layer
    self.source = source
    self.sequence = sequence
    self.timestamp = timestamp
    self.marker = marker
    self.startsKeyFrame = startsKeyFrame
    self.frame = frame
    self.padding = padding
    self.payload = payload
  }
}

/// What the packets of a track are.
package struct PacketTrack: Sendable, Equatable {
  package var codec: Codec
  /// Ticks a second of `StreamPacket.timestamp`.
  package var clockRate: UInt32
  /// Names of the simulcast layers, best first; one without a name when there is no simulcast.
  package var layers: [String]
  /// Key frames come when they are asked for.
  package var answersRequests: Bool
  /// Layers that the publisher makes none of, because nobody watches them, with the bits a second that they had.
  package var resting: [UInt8: Int] = [:]
  /// The layers that are in one source.
  package var scalability: Scalability?

  package init(codec: Codec, clockRate: UInt32, layers: [String] = [""], answersRequests: Bool = false) {
    self.codec = codec
    self.clockRate = clockRate
    self.layers = layers
    self.answersRequests = answersRequests
  }

  package var kind: MediaKind { codec.kind }

  /// What stays the same while layers rest and wake, and whatever is in a source.
  var awake: PacketTrack {
    var track = self
    track.resting = [:]
    track.scalability = nil
    return track
  }
}

/// Which packets of a stream.
package struct PacketKey: Hashable, Sendable {
  package let path: StreamPath
  /// `realtime`, where the publisher's own packets go, or `compatible`.
  package let rendition: Rendition

  package init(_ path: StreamPath, _ rendition: Rendition = .realtime) {
    self.path = path
    self.rendition = rendition
  }
}

/// How a track's ticks relate to the publisher's wall clock: lip sync survives the forwarding by it.
package struct PacketClock: Sendable, Equatable {
  package var source: UInt32
  /// 32.32 fixed point since 1900, as RTCP counts.
  package var ntp: UInt64
  package var timestamp: UInt32

  package init(source: UInt32, ntp: UInt64, timestamp: UInt32) {
    self.source = source
    self.ntp = ntp
    self.timestamp = timestamp
  }
}
