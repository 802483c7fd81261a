package import MartletContainers
package import MartletPrimitives
internal import MartletCodecs
internal import MartletRTMP

/// Bodies of FLV tags or RTMP messages as packets. What cannot be carried (codecs of old times) is left out, and so is
/// `onMetaData`, whose facts are in the formats.
package struct FLVDecoding: Sendable {
  private var demuxer = FLVDemuxer()
  private var clock = Unwrapper(bits: 32)
  private var hasData = false

  package init() {}

  /// - Parameter timestamp: milliseconds, wrapping at 2^32.
  package mutating func receive(
    _ kind: FLVTag.Kind, timestamp: UInt32, body: Slice, into packets: inout [MediaPacket]
  ) throws(ParseError) {
    let time = clock.unwrap(UInt64(timestamp))
    switch kind {
    case .video: append(try demuxer.video(body, timestamp: time), demuxer.videoFormat, to: &packets)
    case .audio: append(try demuxer.audio(body, timestamp: time), demuxer.audioFormat, to: &packets)
    case .script: try script(body, time, into: &packets)
    }
  }

  private func append(_ event: FLVEvent, _ format: TrackFormat?, to packets: inout [MediaPacket]) {
    switch event {
    case .format(let format, let frame):
      packets.append(.format(MediaFormat(format)))
      if let frame { packets.append(.frame(MediaFrame(frame, format))) }
    case .frame(let frame): if let format { packets.append(.frame(MediaFrame(frame, format))) }
    case .endOfSequence, .ignored, .unsupported: break
    }
  }

  private mutating func script(_ body: Slice, _ time: Int64, into packets: inout [MediaPacket]) throws(ParseError) {
    guard !body.isEmpty, try AMF0.decode(body).first?.string != "onMetaData" else { return }
    if !hasData { packets.append(.format(MediaFormat(.data))) }
    hasData = true
    packets.append(.frame(MediaFrame(Frame(track: 2, dts: time, pts: time, isKey: true, payload: body), .data)))
  }
}
