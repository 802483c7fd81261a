internal import Glibc
internal import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// The file of one recording, written by the recordings' thread. Whoever hands bytes over never waits: it looks at
/// `waitingBytes` and leaves frames out when the disk does not keep up.
internal final class RecordingFile: Sendable {
  private struct State {
    var descriptor: Int32 = -1
    /// Where the next bytes go; everything before is whole tags.
    var end: Int64 = 0
  }

  internal let path: String
  private let store: RecordingStore
  private let state = Mutex(State())
  private let waiting = Atomic<Int>(0)
  private let failed = Atomic<Bool>(false)

  /// - Parameter path: below the recordings' folder.
  internal init(_ path: String, _ store: RecordingStore) {
    self.path = path
    self.store = store
    store.begin(path)
    store.write { self.open() }
  }

  /// Bytes handed over and not yet written.
  internal var waitingBytes: Int { waiting.load(ordering: .relaxed) }
  /// The disk refused; nothing more is written.
  internal var hasFailed: Bool { failed.load(ordering: .relaxed) }

  /// - Parameter bytes: whole tags.
  internal func append(_ bytes: [UInt8]) {
    guard !bytes.isEmpty, !hasFailed else { return }
    waiting.add(bytes.count, ordering: .relaxed)
    let slice = Slice(bytes)
    store.write {
      self.write(slice)
      self.waiting.subtract(slice.count, ordering: .relaxed)
    }
  }

  /// - Parameter head: replaces what stands at `FLVRecording.headPosition`.
  internal func finish(head: [UInt8]) {
    let slice = Slice(head)
    store.write { self.close(head: slice) }
  }

  // MARK: On the recordings' thread

  private func open() {
    let full = store.root + "/" + path
    if let slash = full.lastIndex(of: "/") { FileTree.makeFolders(String(full[..<slash]), mode: 0o750) }
    let descriptor = Glibc.open(full, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { return fail(FileTree.lastError) }
    state.withLock { $0.descriptor = descriptor }
  }

  private func write(_ bytes: Slice) {
    state.withLock { state in
      guard state.descriptor >= 0, !hasFailed else { return }
      if FileTree.writeAll(bytes, to: state.descriptor) {
        state.end += Int64(bytes.count)
      } else {
        let reason = FileTree.lastError
        // No half tag at the end.
        ftruncate(state.descriptor, off_t(state.end))
        fail(reason)
      }
    }
  }

  private func close(head: Slice) {
    defer { store.end(path) }
    state.withLock { state in
      guard state.descriptor >= 0 else { return }
      if !hasFailed, state.end >= Int64(FLVRecording.headPosition + head.count) {
        lseek(state.descriptor, off_t(FLVRecording.headPosition), SEEK_SET)
        if !FileTree.writeAll(head, to: state.descriptor) { fail(FileTree.lastError) }
      }
      Glibc.close(state.descriptor)
      state.descriptor = -1
    }
  }

  private func fail(_ reason: String) {
    guard !failed.exchange(true, ordering: .relaxed) else { return }
    store.log(.error, "record", "\(path): the recording ends: \(reason)")
  }
}
