#if Transcoding
  internal import CFFmpeg

  /// What FFmpeg said, in its words.
  package struct FFmpegError: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    internal init(_ operation: String, _ code: Int32) {
      var text = [CChar](repeating: 0, count: 128)
      av_strerror(code, &text, text.count)
      description = "\(operation): \(text.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) })"
    }

    /// Throws unless `code` is zero or more.
    internal static func check(_ operation: String, _ code: Int32) throws(FFmpegError) {
      if code < 0 { throw FFmpegError(operation, code) }
    }
  }
#endif
