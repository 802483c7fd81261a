/// What one peer may make us hold while a message's head, chunk framing or trailers arrive. Content is handed on as it
/// comes and is limited by whoever takes it.
package struct HTTP1Limits: Sendable {
  /// Bytes of a request or status line; beyond, 414.
  package var startLine = 8 * 1024
  /// Bytes of all field lines together; beyond, 431.
  package var fieldBytes = 32 * 1024
  /// Field lines; beyond, 431.
  package var fields = 100
  /// Bytes of a chunk-size line with its extensions.
  package var chunkLine = 256
  /// Bytes of chunk extensions over a whole message: tiny chunks with long extensions cost more than they carry.
  package var chunkExtensions = 16 * 1024
  /// Bytes of all trailer lines together.
  package var trailerBytes = 8 * 1024

  package init() {}
}
