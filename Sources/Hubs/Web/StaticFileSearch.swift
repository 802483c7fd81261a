internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// What one request needs from the disk; runs where blocking is allowed.
internal struct StaticFileSearch: Sendable {
  internal enum Found: Sendable {
    /// The version that is in memory is still the one on disk.
    case unchanged
    case memory(StaticContent, version: String)
    case file(FileContent)
    /// The name is that of a folder with an index, and lacks the slash at its end.
    case folder
    case missing
  }

  private static let index = "index.html"

  private let root: String
  private let caching: String
  private let memoryFile: Int
  private let key: String
  private let known: String?
  private let wantsGzip: Bool

  /// - Parameters:
  ///   - key: a path below the root, with a slash at its end when a folder is meant.
  ///   - known: the version in memory.
  internal init(_ configuration: StaticFiles.Configuration, key: String, known: String?, wantsGzip: Bool) {
    root = configuration.path
    caching = configuration.caching
    memoryFile = configuration.memoryFile
    self.key = key
    self.known = known
    self.wantsGzip = wantsGzip
  }

  internal func run() -> Found {
    if key.hasSuffix("/") {
      let name = key == "/" ? Self.index : key + Self.index
      return ReadableFile.open(name, below: root).map { found($0, name) } ?? .missing
    }
    if let file = ReadableFile.open(key, below: root) { return found(file, key) }
    return ReadableFile.open("\(key)/\(Self.index)", below: root) == nil ? .missing : .folder
  }

  private func found(_ file: ReadableFile, _ name: String) -> Found {
    let type = MediaType.of(fileName: name)
    let compressed = MediaType.isCompressible(type) ? precompressed(file, name) : nil
    let version = file.version + (compressed.map { "." + $0.version } ?? "")
    var extra: HTTPFields = ["X-Content-Type-Options": "nosniff"]
    if file.size <= memoryFile {
      if version == known { return .unchanged }
      let bytes = file.read(0..<file.size)
      let gzip = compressed.flatMap { $0.size <= memoryFile ? $0.read(0..<$0.size) : nil }
      // It is being written just now: the next request sees it whole.
      guard bytes.count == file.size else { return .file(FileContent(file, contentType: type, caching: caching, extra: extra)) }
      let content = StaticContent(
        bytes, contentType: type, etag: version, caching: caching, extra: extra, modified: file.modified, gzip: gzip)
      return .memory(content, version: version)
    }
    if compressed != nil { extra.append("Vary", "Accept-Encoding") }
    guard wantsGzip, let compressed else { return .file(FileContent(file, contentType: type, caching: caching, extra: extra)) }
    extra.append("Content-Encoding", "gzip")
    return .file(FileContent(compressed, contentType: type, caching: caching, extra: extra))
  }

  /// `app.js.gz` beside `app.js`, unless it is older.
  private func precompressed(_ file: ReadableFile, _ name: String) -> ReadableFile? {
    guard let compressed = ReadableFile.open(name + ".gz", below: root), compressed.modified >= file.modified else { return nil }
    return compressed
  }
}
