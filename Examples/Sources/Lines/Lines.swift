import Foundation

/// The lines of standard input, as they are typed.
public func typedLines() -> AsyncStream<String> {
  AsyncStream { continuation in
    // Reading blocks: on a thread of its own, not on those that tasks share.
    Thread.detachNewThread {
      while let line = readLine() { continuation.yield(line) }
      continuation.finish()
    }
  }
}

/// Writes a line to standard output at once, also into a pipe.
public func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

/// Says on standard error why, and ends the program.
public func fail(_ text: String, status: Int32) -> Never {
  FileHandle.standardError.write(Data((text + "\n").utf8))
  exit(status)
}
