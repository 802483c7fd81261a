internal import MartletMedia
internal import MartletPrimitives

/// The endless formats that a stream's path may end in.
internal struct LiveFormat {
  internal let suffix: String
  internal let contentType: String
  internal let http: WireFormat
  /// `nil` where there is no WebSocket form.
  internal let webSocket: WireFormat?

  internal static let all = [
    LiveFormat(suffix: ".flv", contentType: "video/x-flv", http: FLVFormat.http, webSocket: FLVFormat.webSocket),
    LiveFormat(suffix: ".ts", contentType: "video/mp2t", http: TSFormat.http, webSocket: nil),
    LiveFormat(suffix: ".mp4", contentType: "video/mp4", http: FMP4Format.http, webSocket: FMP4Format.webSocket),
  ]

  /// The stream and the format that a URL's path names.
  internal static func find(_ path: String) -> (path: StreamPath, format: LiveFormat)? {
    guard let format = all.first(where: { path.hasSuffix($0.suffix) }),
      let stream = try? StreamPath(String(path.dropLast(format.suffix.utf8.count)))
    else { return nil }
    return (stream, format)
  }
}
