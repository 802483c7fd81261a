internal import MartletCodecs
package import MartletContainers
package import MartletMedia
package import MartletPrimitives
internal import MartletRTMP

/// RTMP messages or FLV tags of one publisher, as tracks and frames of its publication.
package struct FLVIngest {
  private var demuxer = FLVDemuxer()
  private var clock = Unwrapper(bits: 32)
  /// Tracks in the order in which their formats appeared.
  private var tracks: [MediaKind] = []

  package init() {}

  /// - Returns: a sentence for the log, when media arrived that cannot be carried.
  package mutating func receive(
    _ kind: FLVTag.Kind, timestamp: UInt32, body: Slice, into publication: Publication
  ) throws(ParseError) -> String? {
    let time = clock.unwrap(UInt64(timestamp))
    switch kind {
    case .video: return handle(try demuxer.video(body, timestamp: time), .video, publication)
    case .audio: return handle(try demuxer.audio(body, timestamp: time), .audio, publication)
    case .script:
      try script(body, time, publication)
      return nil
    }
  }

  private mutating func handle(_ event: FLVEvent, _ kind: MediaKind, _ publication: Publication) -> String? {
    switch event {
    case .format(let format, let frame):
      publication.setFormat(format, track: index(of: kind))
      if let frame { send(frame, kind, publication) }
    case .frame(let frame): send(frame, kind, publication)
    case .endOfSequence, .ignored: break
    case .unsupported(let what): return what
    }
    return nil
  }

  private mutating func send(_ frame: Frame, _ kind: MediaKind, _ publication: Publication) {
    var frame = frame
    frame.track = index(of: kind)
    publication.send(frame)
  }

  private mutating func index(of kind: MediaKind) -> UInt8 {
    if let index = tracks.firstIndex(of: kind) { return UInt8(index) }
    tracks.append(kind)
    return UInt8(tracks.count - 1)
  }

  /// `onMetaData` tells which tracks to expect; every other message is data that travels with the media.
  private mutating func script(_ body: Slice, _ time: Int64, _ publication: Publication) throws(ParseError) {
    let values = try AMF0.decode(body)
    guard values.first?.string != "onMetaData" else {
      var kinds: Set<MediaKind> = []
      for property in values.dropFirst().first?.properties ?? [] where !isNone(property.value) {
        if property.name == "videocodecid" { kinds.insert(.video) }
        if property.name == "audiocodecid" { kinds.insert(.audio) }
      }
      if !kinds.isEmpty { publication.expect(kinds) }
      return
    }
    // Data may not come before the stream has a picture or sound to travel with.
    guard !tracks.isEmpty else { return }
    if !tracks.contains(.data) { publication.setFormat(TrackFormat(codec: .data, timescale: 1000), track: index(of: .data)) }
    send(Frame(track: 0, dts: time, pts: time, isKey: true, payload: body), .data, publication)
  }

  /// Codec ids that mean "no such track": 0 for video; audio's 0 is raw PCM, which nobody sends live.
  private func isNone(_ value: AMFValue) -> Bool { value.number == 0 || value.isNullOrUndefined }
}
