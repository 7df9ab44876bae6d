// Writes the seeds as files, a corpus for libFuzzer: message_corpus DIRECTORY
#include <cstdio>
#include <fstream>
#include <string>

#include "model/protocol/tests/message_seeds.h"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "message_corpus: one argument, an existing directory\n");
        return 2;
    }
    int number = 0;
    for (const auto& seed : xenfs::protocol::message_seeds()) {
        const std::string path = std::string(argv[1]) + "/seed" + std::to_string(number++);
        std::ofstream file(path, std::ios::binary);
        file.write(reinterpret_cast<const char*>(seed.data()),
                   static_cast<std::streamsize>(seed.size()));
        if (!file) {
            std::fprintf(stderr, "message_corpus: cannot write %s\n", path.c_str());
            return 2;
        }
    }
    return 0;
}
