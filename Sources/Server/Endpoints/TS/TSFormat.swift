internal import MartletCodecs
internal import MartletContainers
package import MartletMedia
internal import MartletPrimitives

/// The stream as an endless MPEG transport stream.
package enum TSFormat {
  package static let http = WireFormat(name: "ts", .broadcast) { formats throws(WireFormatError) in
    do throws(TSError) { return TSStreamMuxer(try TSMuxer(formats: formats)) } catch { throw WireFormatError(sentence(for: error)) }
  }

  /// For the viewer: what is wrong and what to use instead.
  internal static func sentence(for error: TSError) -> String {
    switch error {
    case .unsupported(let codec): "\(codec) cannot be carried in MPEG-TS; watch the stream as .mp4 or .flv"
    case .configuration(let codec, let cause): "the \(codec) configuration cannot be read: \(cause)"
    case .tooManyTracks(let maximum): "the stream has more than \(maximum) tracks"
    }
  }
}

/// A viewer can join at any key frame, since the program tables stand before each.
private struct TSStreamMuxer: WireMuxer {
  let opening = Slice()
  let configuration = Slice()
  private var muxer: TSMuxer

  init(_ muxer: TSMuxer) { self.muxer = muxer }

  mutating func mux(_ frame: Frame) -> Slice {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(frame.payload.count + frame.payload.count / 40 + 4 * 188)
    muxer.mux(frame, into: &bytes)
    return Slice(bytes)
  }
}
