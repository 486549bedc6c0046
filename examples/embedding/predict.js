// Accessibility of each line of a file of sequences in the first five cells of a model, from model.onnx alone.
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";

const [modelPath, sequencesPath] = process.argv.slice(2);
if (!sequencesPath) fail("Usage: node predict.js MODEL.onnx SEQUENCES.txt");

const session = await InferenceSession.create(modelPath).catch((error) => fail(error.message));
const length = session.inputMetadata[0].shape[1];
const sequences = readFileSync(sequencesPath, "ascii").trim().split(/\r?\n/);
sequences.forEach((sequence, i) => {
  if (sequence.length !== length) fail(`${sequencesPath}, line ${i + 1}: ${sequence.length} bp; the model takes ${length}.`);
});

for (const sequence of sequences) {
  const input = new Tensor("float32", oneHot(sequence), [1, length, 4]);
  const { accessibility } = await session.run({ sequence: input }, ["accessibility"]);
  console.log(Array.from(accessibility.data.slice(0, 5), (probability) => probability.toFixed(6)).join("\t"));
}

// Four numbers for each base, in the order A C G T; any other letter is N, 0.25 in each.
function oneHot(sequence) {
  const rows = new Float32Array(4 * sequence.length).fill(0.25);
  [...sequence.toUpperCase()].forEach((base, i) => {
    const channel = "ACGT".indexOf(base);
    if (channel >= 0) rows.fill(0, 4 * i, 4 * i + 4)[4 * i + channel] = 1;
  });
  return rows;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
