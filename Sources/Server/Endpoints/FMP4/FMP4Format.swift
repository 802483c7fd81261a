internal import MartletCodecs
internal import MartletContainers
internal import MartletHTTP
package import MartletMedia
internal import MartletPrimitives

/// The stream as fragmented MP4, a fragment for each frame: for HTTP one file that never ends, for Media Source Extensions
/// a WebSocket message for each piece.
///
/// Over the WebSocket every initialization segment follows a text message, `{"type": "format", "mime": "video/mp4;
/// codecs=…"}`: what `addSourceBuffer` or `changeType` must be told first.
package enum FMP4Format {
  package static let http = WireFormat(name: "fmp4") { formats throws(WireFormatError) in try make(formats, framed: false) }
  package static let webSocket = WireFormat(name: "ws-fmp4") { formats throws(WireFormatError) in try make(formats, framed: true) }

  private static func make(_ formats: [TrackFormat], framed: Bool) throws(WireFormatError) -> any WireMuxer {
    do throws(MP4Error) {
      return FMP4StreamMuxer(try FMP4Muxer(formats: formats), framed: framed)
    } catch {
      switch error {
      case .unsupported(let codec): throw WireFormatError("\(codec) cannot be carried in MP4; watch the stream over RTMP or as .flv")
      case .tooManyTracks(let maximum): throw WireFormatError("the stream has more than \(maximum) tracks")
      }
    }
  }
}

private struct FMP4StreamMuxer: WireMuxer {
  let opening = Slice()
  let configuration: Slice
  private var muxer: FMP4Muxer
  private let framed: Bool

  init(_ muxer: FMP4Muxer, framed: Bool) {
    self.muxer = muxer
    self.framed = framed
    let initialization = muxer.initialization()
    guard framed else {
      configuration = Slice(initialization)
      return
    }
    let format: JSON = ["type": "format", "mime": .string(muxer.mimeType)]
    let notice = format.serialized
    var bytes = WebSocketFrame.header(.text, length: notice.count) + notice
    bytes += WebSocketFrame.header(.binary, length: initialization.count) + initialization
    configuration = Slice(bytes)
  }

  mutating func mux(_ frame: Frame) -> Slice {
    let fragment = muxer.fragment([frame])
    guard framed, !fragment.isEmpty else { return Slice(fragment) }
    return Slice(WebSocketFrame.header(.binary, length: fragment.count) + fragment)
  }
}
