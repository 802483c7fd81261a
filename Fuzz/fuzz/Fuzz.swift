import FuzzEntries
import Glibc

#if FUZZING
  /// What libFuzzer, whose library brings its own `main`, calls with every input. `MARTLET_FUZZ` names the entry.
  @_cdecl("LLVMFuzzerTestOneInput") func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    chosen.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
  }

  private let chosen: FuzzEntry = {
    let name = getenv("MARTLET_FUZZ").map { String(cString: $0) } ?? ""
    guard let entry = FuzzEntry.all.first(where: { $0.name == name }) else {
      print("MARTLET_FUZZ must be one of \(FuzzEntry.all.map(\.name).joined(separator: " "))")
      exit(2)
    }
    return entry
  }()
#else
  /// The ordinary build: lists the entries, writes the seeds of all (`fuzz --seeds FOLDER`), or replays files (`fuzz ENTRY
  /// FILE…`), which is how a crash is debugged.
  @main enum Fuzz {
    static func main() {
      let words = Array(CommandLine.arguments.dropFirst())
      if words.count == 2, words[0] == "--seeds" { return writeSeeds(words[1]) }
      guard let name = words.first, let entry = FuzzEntry.all.first(where: { $0.name == name }) else {
        for entry in FuzzEntry.all { print(entry.name) }
        exit(words.isEmpty ? 0 : 2)
      }
      for path in words.dropFirst() {
        let bytes = read(path)
        entry.run(bytes)
        print("\(path): \(bytes.count) bytes, no complaint")
      }
    }

    private static func writeSeeds(_ folder: String) {
      for entry in FuzzEntry.all {
        mkdir("\(folder)/\(entry.name)", 0o755)
        for (index, seed) in entry.seeds.enumerated() {
          guard let file = fopen("\(folder)/\(entry.name)/seed-\(index)", "w") else { exit(1) }
          fwrite(seed, 1, seed.count, file)
          fclose(file)
        }
      }
    }

    private static func read(_ path: String) -> [UInt8] {
      guard let file = fopen(path, "r") else { exit(1) }
      defer { fclose(file) }
      var bytes: [UInt8] = []
      while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
      return bytes
    }
  }
#endif
