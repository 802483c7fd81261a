internal import Glibc
internal import MartletIO

/// The bytes of a file, chunk by chunk. Disks are waited for on a thread of their own.
public struct FileChunks: AsyncSequence, Sendable {
  public typealias Element = [UInt8]

  /// Why a file cannot be read, as the system says it.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    /// `errno`.
    public let code: Int32
    public var description: String { "\(path): \(String(cString: strerror(code)))" }
  }

  private let path: String
  private let size: Int

  /// - Parameter size: of a chunk in bytes, at least 1.
  public init(path: String, size: Int = 64 * 1024) {
    self.path = path
    self.size = Swift.max(1, size)
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(path, size) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private let path: String
    private let size: Int
    private var file: OpenFile?

    init(_ path: String, _ size: Int) {
      self.path = path
      self.size = size
    }

    public mutating func next() async throws(Failure) -> [UInt8]? { try await next(isolation: nil) }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(Failure) -> [UInt8]? {
      let file: OpenFile
      if let open = self.file { file = open } else { file = try await OpenFile.open(path) }
      self.file = file
      let chunk = try await file.read(size)
      return chunk.isEmpty ? nil : chunk
    }
  }
}

/// A descriptor that is closed when nobody holds it any more.
private final class OpenFile: Sendable {
  private static let threads = ThreadPool(name: "martlet-files", threads: 2, limit: 4096)
  private let path: String
  private let descriptor: Int32

  private init(_ path: String, _ descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  static func open(_ path: String) async throws(FileChunks.Failure) -> OpenFile {
    try await onThread(path) { () throws(FileChunks.Failure) in
      let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw FileChunks.Failure(path: path, code: errno) }
      return OpenFile(path, descriptor)
    }
  }

  /// Up to `size` bytes; none at the end.
  func read(_ size: Int) async throws(FileChunks.Failure) -> [UInt8] {
    try await Self.onThread(path) { [self] () throws(FileChunks.Failure) in
      var failure: Int32 = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
        var count = Glibc.read(descriptor, buffer.baseAddress, size)
        while count < 0, errno == EINTR { count = Glibc.read(descriptor, buffer.baseAddress, size) }
        if count < 0 { failure = errno }
        filled = Swift.max(0, count)
      }
      guard failure == 0 else { throw FileChunks.Failure(path: path, code: failure) }
      return bytes
    }
  }

  private static func onThread<R: Sendable>(
    _ path: String, _ body: @escaping @Sendable () throws(FileChunks.Failure) -> R
  ) async throws(FileChunks.Failure) -> R {
    let result: Result<R, FileChunks.Failure> = await withCheckedContinuation { continuation in
      let accepted = threads.submit { continuation.resume(returning: Result(catching: body)) }
      if !accepted { continuation.resume(returning: .failure(FileChunks.Failure(path: path, code: EAGAIN))) }
    }
    return try result.get()
  }
}
