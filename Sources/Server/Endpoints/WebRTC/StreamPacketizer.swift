package import MartletCodecs
package import MartletIO
package import MartletMedia
internal import MartletPrimitives
internal import MartletRTP

/// Makes packets of a stream's frames, for viewers by WebRTC who cannot have a publisher's own: once for all of them, while there are any.
package final class StreamPacketizer: FrameConsumer {
  private struct Track {
    /// Of the stream's formats.
    let frames: Int
    let format: TrackFormat
    let clockRate: UInt32
    let source: UInt32
    /// Added to every timestamp.
    let offset: UInt32
    var packetizer: RTPPacketizer
    var sequence: UInt16
  }

  private let packets: StreamPackets
  private let context: LoopContext
  private var random = RandomSource.system
  private var tracks: [Track] = []
  private var payloads = RTPPayloads()
  /// Where the stream's time line lies on the wall clock.
  private var nextClock = Instant.zero

  package init(_ packets: StreamPackets, in context: LoopContext) {
    self.packets = packets
    self.context = context
  }

  package var rendition: Rendition { packets.rendition }

  package func streamDidConfigure(_ stream: Stream, _ content: StreamContent) {
    tracks = content.formats.enumerated().compactMap { index, format in
      guard var packetizer = RTPPacketizer(format.codec, random: &random) else { return nil }
      do { try packetizer.setFormat(format) } catch { return nil }
      return Track(
        frames: index, format: format, clockRate: Self.clockRate(format.codec), source: UInt32.random(in: 1...UInt32.max, using: &random),
        offset: UInt32.random(in: 0...UInt32.max, using: &random), packetizer: packetizer,
        sequence: UInt16.random(in: 0..<32768, using: &random))
    }
    nextClock = .zero
    packets.configure(tracks.map { PacketTrack(codec: $0.format.codec, clockRate: $0.clockRate) })
  }

  private static func clockRate(_ codec: Codec) -> UInt32 {
    switch codec {
    case .opus: 48_000
    case .g711a, .g711u, .g722: 8000
    default: 90_000
    }
  }

  package func stream(_ stream: Stream, didReceive frame: Frame) {
    guard let index = tracks.firstIndex(where: { $0.frames == Int(frame.track) }) else { return }
    do throws(PayloadError) { try tracks[index].packetizer.packetize(frame, into: &payloads) } catch { return }
    let track = tracks[index]
    let isVideo = track.format.kind == .video
    let ticks = MediaTime.rescale(frame.pts, from: track.format.timescale, to: Int32(clamping: track.clockRate))
    let timestamp = UInt32(truncatingIfNeeded: ticks) &+ track.offset
    tellClocks(at: MediaTime.rescale(frame.pts, from: track.format.timescale, to: 1_000_000_000))
    let made = payloads.slices.enumerated().map { place, payload in
      StreamPacket(
        track: UInt8(index), source: track.source, sequence: track.sequence &+ UInt16(truncatingIfNeeded: place),
        timestamp: timestamp &+ payloads.timestampOffset(of: place), marker: isVideo && place == payloads.count - 1,
        startsKeyFrame: !isVideo || frame.isKey && place == 0, payload: payload)
    }
    tracks[index].sequence &+= UInt16(truncatingIfNeeded: made.count)
    packets.send(made)
  }

  /// One pair of times for all tracks, so that they are in step by construction.
  private func tellClocks(at position: Int64) {
    let now = context.now
    guard now >= nextClock else { return }
    nextClock = now + .seconds(5)
    let ntp = NTPTime(context.wallTime)
    for track in tracks {
      let ticks = MediaTime.rescale(position, from: 1_000_000_000, to: Int32(clamping: track.clockRate))
      packets.setClock(
        PacketClock(source: track.source, ntp: ntp.value, timestamp: UInt32(truncatingIfNeeded: ticks) &+ track.offset))
    }
  }

  package func streamDidPause(_ stream: Stream) {}
  package func streamDidEnd(_ stream: Stream) {}
}
